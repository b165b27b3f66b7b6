import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { part } from '../virtual.ts';

interface Props {
  total: number;
  label: string;
  /** Width and height of a tile with its gap, in pixels. */
  size?: [number, number];
  tile: (index: number) => ComponentChildren;
  onRange?: (first: number, end: number) => void;
  /** A key on a tile; true if the next tile is to have the focus then. */
  onKey?: (event: KeyboardEvent, index: number) => boolean | void;
}

/** Thousands of tiles, of which those in sight are in the document. Arrow keys go from tile to tile. */
export function Tiles({ total, label, size = [116, 128], tile, onRange, onKey }: Props) {
  const list = useRef<HTMLUListElement>(null);
  const [box, setBox] = useState({ columns: 3, top: 0, height: 800 });
  const [wide, row] = size;

  useEffect(() => {
    const measure = () => {
      const rect = list.current?.getBoundingClientRect();
      if (rect) {
        const columns = Math.max(2, Math.floor(rect.width / wide));
        const next = { columns, top: Math.max(0, -rect.top), height: innerHeight };
        setBox((old) => (old.columns === columns && Math.abs(old.top - next.top) < row / 2 && old.height === next.height ? old : next));
      }
    };
    measure();
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, [wide, row, total]);

  const { first, end, above, below } = part(total, box.columns, row, box.top, box.height);
  useEffect(() => {
    onRange?.(first, end);
  }, [first, end, total]);
  useEffect(() => {
    const style = list.current?.style;
    style?.setProperty('--columns', String(box.columns));
    style?.setProperty('--row', `${row}px`);
    style?.setProperty('padding-top', `${above}px`);
    style?.setProperty('padding-bottom', `${below}px`);
  }, [box.columns, above, below, row]);

  function press(event: KeyboardEvent) {
    const item = (event.target as HTMLElement).closest<HTMLElement>('li[data-index]');
    if (!item) {
      return;
    }
    const index = Number(item.dataset.index);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -box.columns, ArrowDown: box.columns }[event.key];
    if (step === undefined) {
      // One key labels and goes on.
      if (onKey?.(event, index) === true) {
        to(index + 1);
      }
      return;
    }
    event.preventDefault();
    to(index + step);
  }

  function to(index: number) {
    const next = list.current?.querySelector<HTMLElement>(`li[data-index="${index}"] .open`);
    next?.focus();
    next?.scrollIntoView({ block: 'nearest' });
  }

  return (
    <ul class="tiles" ref={list} aria-label={label} onKeyDown={press}>
      {Array.from({ length: Math.max(0, end - first) }, (_, i) => (
        <li key={first + i} data-index={first + i} aria-setsize={total} aria-posinset={first + i + 1}>
          {tile(first + i)}
        </li>
      ))}
    </ul>
  );
}

interface TileProps {
  src: string;
  alt: string;
  chosen: boolean;
  /** Something is chosen already: a click chooses, too. */
  choosing: boolean;
  onOpen: () => void;
  onChoose: (run: boolean) => void;
  stack?: boolean;
  children?: ComponentChildren;
}

/** One picture: a click opens it, the box at its corner (or ctrl, shift) chooses it. */
export function Tile({ src, alt, chosen, choosing, onOpen, onChoose, stack, children }: TileProps) {
  return (
    <div class="tile" data-chosen={chosen} data-stack={stack}>
      <button
        type="button"
        class="open"
        aria-label={alt}
        onClick={(event) => {
          if (event.shiftKey) {
            onChoose(true);
          } else if (event.ctrlKey || event.metaKey || choosing) {
            onChoose(false);
          } else {
            onOpen();
          }
        }}
      >
        <img src={src} alt="" loading="lazy" decoding="async" />
      </button>
      <input
        type="checkbox"
        aria-label={alt}
        checked={chosen}
        onClick={(event) => onChoose(event.shiftKey)}
      />
      <div class="under">{children}</div>
    </div>
  );
}

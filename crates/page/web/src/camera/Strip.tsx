import { useEffect, useRef, useState } from 'preact/hooks';
import { label } from '../actions.ts';
import { base, get } from '../api.ts';
import { classes, lost, unsure } from '../board.ts';
import { tint } from '../keys.ts';
import { Act } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import type { RingFrame } from '../shapes.ts';
import { settings } from '../settings.ts';
import { type Range, at, between, moved, places as placesOf, stills } from '../strip.ts';
import { many, number, t } from '../words.ts';

const EVERY = 2000;
const WIDTH = 56;
/** What the strip shows, if the board keeps as much: `capture.ring_s`. */
const SECONDS = 30;

/** The last half minute: drag over what has just passed, and say what it was. */
export function Strip() {
  const area = useRef<HTMLDivElement>(null);
  const mark = useRef<HTMLDivElement>(null);
  const [frames, setFrames] = useState<RingFrame[]>([]);
  const [there, setThere] = useState(true);
  const [range, setRange] = useState<Range | null>(null);
  const [places, setPlaces] = useState(8);
  const count = frames.length;

  useEffect(() => {
    const element = area.current?.parentElement;
    if (!element) {
      return undefined;
    }
    const watch = new ResizeObserver(() => setPlaces(Math.max(4, Math.floor(element.clientWidth / WIDTH))));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  // Before half a minute has passed the strip is as long as what there is.
  const full = Number(settings.value['capture.ring_hz'] ?? 4) * Number(settings.value['capture.ring_s'] ?? SECONDS);
  useEffect(() => {
    const part = Math.min(1, Math.max(0.2, count / Math.max(1, full)));
    area.current?.style.setProperty('width', `${part > 0.9 ? 100 : part * 100}%`);
  }, [count, full]);

  // While something is chosen the strip stands still.
  useEffect(() => {
    if (range !== null) {
      return undefined;
    }
    let alive = true;
    const load = async () => {
      if (document.visibilityState !== 'visible') {
        return;
      }
      try {
        const ring = await get<{ frames: RingFrame[] }>('ring');
        if (alive) {
          setFrames(ring.frames);
          setThere(true);
        }
      } catch {
        if (alive) {
          setThere(false);
        }
      }
    };
    void load();
    const timer = setInterval(() => void load(), EVERY);
    return () => {
      alive = false;
      clearInterval(timer);
    };
  }, [range === null]);

  useEffect(() => {
    if (range && count > 0) {
      mark.current?.style.setProperty('left', `${(range.from / count) * 100}%`);
      mark.current?.style.setProperty('width', `${((range.to - range.from + 1) / count) * 100}%`);
    }
  }, [range, count]);

  function begin(event: PointerEvent) {
    const element = area.current;
    if (!element || count === 0 || event.button !== 0) {
      return;
    }
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    const box = element.getBoundingClientRect();
    const start = at(event.clientX - box.left, box.width, count);
    setRange(between(start, start));
    const move = (to: PointerEvent) => setRange(between(start, at(to.clientX - box.left, box.width, count)));
    const end = () => element.removeEventListener('pointermove', move);
    element.addEventListener('pointermove', move);
    element.addEventListener('pointerup', end, { once: true });
    element.addEventListener('pointercancel', end, { once: true });
  }

  function step(end: 'from' | 'to', event: KeyboardEvent) {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -8, PageUp: 8, Home: -count, End: count }[event.key];
    if (by !== undefined && range) {
      event.preventDefault();
      setRange(moved(range, end, by, count));
    }
  }

  async function give(name: string) {
    if (range) {
      const chosen = frames.slice(range.from, range.to + 1).map((frame) => frame.frame);
      if ((await label(chosen, name)) > 0) {
        setRange(null);
      }
    }
  }

  const ago = (index: number) => number((frames[index]?.age_ms ?? 0) / 1000, 0);
  const doubts = placesOf(frames, unsure.value);
  const chosen = range ? range.to - range.from + 1 : 0;
  return (
    <section class="card strip" aria-labelledby="passed">
      <h2 id="passed">{t('strip')}</h2>
      <p class="small quiet">
        {there ? t('strip.how') : t('strip.off')} {doubts.length > 0 && many('strip.unsure', doubts.length)}
      </p>
      <div class="film" ref={area} onPointerDown={begin} data-empty={count === 0 || lost.value}>
        {stills(frames, Number(settings.value['capture.ring_s'] ?? SECONDS) / places).map(({ first, many: frameCount }) => {
          const frame = frames[first];
          return frame && <Picture key={frame.frame} frame={frame.frame} many={frameCount} />;
        })}
        <div class="labels" aria-hidden="true">
          {runs(frames).map((run) => (
            <Run key={run.from} {...run} count={count} />
          ))}
        </div>
        {doubts.map((index) => (
          <Doubt key={frames[index]?.frame} at={(index + 0.5) / count} />
        ))}
        {range && (
          <div class="mark" ref={mark}>
            {(['from', 'to'] as const).map((end) => (
              <span
                key={end}
                role="slider"
                tabIndex={0}
                class={`end ${end}`}
                aria-label={t(end === 'from' ? 'strip.from' : 'strip.to')}
                aria-valuemin={0}
                aria-valuemax={count - 1}
                aria-valuenow={range[end]}
                aria-valuetext={t('strip.ago', { s: ago(range[end]) })}
                onKeyDown={(event) => step(end, event)}
              />
            ))}
          </div>
        )}
      </div>
      <div class="row between small quiet">
        <span>{count > 0 ? t('strip.ago', { s: ago(0) }) : ''}</span>
        <span>{t('strip.now')}</span>
      </div>
      {range ? (
        <div class="stack tight">
          <p>
            {many('strip.chosen', chosen)}: {t('strip.range', { from: ago(range.from), to: ago(range.to) })}
          </p>
          <div class="row wrap">
            {classes.value.map((name) => (
              <Act key={name} class={`chip ${tint(name)}`} onClick={() => void give(name)}>
                <span class="swatch" aria-hidden="true" />
                {name}
              </Act>
            ))}
            <Act looks class="small" onClick={() => setRange(null)}>
              {t('cancel')}
            </Act>
          </div>
          <Commands
            op="label"
            body={{ action: 'set', class: classes.value[0] ?? 'ok', frame: frames[range.from]?.frame ?? 0, burst: 'a-name' }}
          />
        </div>
      ) : (
        <Act
          class="small"
          why={count === 0 && t('strip.empty')}
          onClick={() => setRange({ from: Math.max(0, count - 20), to: count - 1 })}
        >
          {t('strip.choose')}
        </Act>
      )}
    </section>
  );
}

function Picture({ frame, many: frameCount }: { frame: number; many: number }) {
  const still = useRef<HTMLDivElement>(null);
  useEffect(() => still.current?.style.setProperty('flex-grow', String(frameCount)), [frameCount]);
  return (
    <div ref={still} class="still">
      <img src={`${base}/ring/${frame}/image`} alt="" draggable={false} />
    </div>
  );
}

function Doubt({ at: part }: { at: number }) {
  const tag = useRef<HTMLSpanElement>(null);
  useEffect(() => tag.current?.style.setProperty('left', `${part * 100}%`), [part]);
  return (
    <span ref={tag} class="doubt" aria-hidden="true">
      ?
    </span>
  );
}

interface Run {
  from: number;
  to: number;
  class: string;
}

function runs(frames: RingFrame[]): Run[] {
  const found: Run[] = [];
  frames.forEach((frame, index) => {
    const last = found[found.length - 1];
    if (frame.class === null) {
      return;
    }
    // Near-copies between kept frames belong to the same run.
    if (last && last.class === frame.class && index - last.to <= 4) {
      last.to = index;
    } else {
      found.push({ from: index, to: index, class: frame.class });
    }
  });
  return found;
}

function Run({ from, to, class: name, count }: Run & { count: number }) {
  const run = useRef<HTMLDivElement>(null);
  useEffect(() => {
    run.current?.style.setProperty('left', `${(from / count) * 100}%`);
    run.current?.style.setProperty('width', `${((to - from + 1) / count) * 100}%`);
  }, [from, to, count]);
  return (
    <div ref={run} class={`run ${tint(name)}`}>
      {name}
    </div>
  );
}

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { base } from '../api.ts';
import { capture, link, lost, now, predictedAt, prediction, stats, view } from '../board.ts';
import { Icon } from '../parts/Icon.tsx';
import { number, t } from '../words.ts';
import { Region } from './Region.tsx';

const AGAIN = 3000;

/** The live picture of the whole frame, what the network looks at drawn over it, and what is wrong with it. */
export function Stage({ children }: { children?: ComponentChildren }) {
  const figure = useRef<HTMLElement>(null);
  const image = useRef<HTMLImageElement>(null);
  const [seen, setSeen] = useState(false);
  const frame = view.value?.frame;
  const gone = lost.value || link.value === 'lost';

  // The stream ends while nobody looks: the board encodes no picture then.
  useEffect(() => {
    const element = image.current;
    let timer: number | undefined;
    let still: number | undefined;
    const open = () => {
      clearInterval(still);
      if (element && document.visibilityState === 'visible') {
        element.src = `${base}/stream?t=${Date.now()}`;
      }
    };
    const close = () => {
      clearTimeout(timer);
      clearInterval(still);
      element?.removeAttribute('src');
    };
    const failed = () => {
      // No stream, or too many look: single pictures meanwhile.
      setSeen(false);
      clearTimeout(timer);
      timer = window.setTimeout(open, AGAIN);
    };
    const look = () => (document.visibilityState === 'visible' ? open() : close());
    const first = () => {
      setSeen(true);
      if (element && figure.current && element.naturalWidth > 0) {
        const ratio = element.naturalWidth / element.naturalHeight;
        figure.current.style.setProperty('--ratio', String(ratio));
      }
    };
    element?.addEventListener('error', failed);
    element?.addEventListener('load', first);
    document.addEventListener('visibilitychange', look);
    open();
    return () => {
      element?.removeEventListener('error', failed);
      element?.removeEventListener('load', first);
      document.removeEventListener('visibilitychange', look);
      close();
    };
  }, [gone]);

  useEffect(() => {
    if (frame && figure.current) {
      figure.current.style.setProperty('--ratio', String(frame.width / frame.height));
    }
  }, [frame?.width, frame?.height]);

  const recording = capture.value;
  return (
    <figure class="stage" ref={figure} data-live={seen && !gone}>
      <img ref={image} alt={t('stage.alt')} draggable={false} />
      {!gone && <Region />}
      {recording && (
        <p class="recording">
          <span class="dot" aria-hidden="true" />
          {t('stage.recording', { class: recording.class })}
        </p>
      )}
      {gone && (
        <div class="veil" role="alert">
          <Icon name="warn" />
          <h2>{t(link.value === 'lost' ? 'lost.link' : 'lost.camera')}</h2>
          <p>{t(link.value === 'lost' ? 'lost.link.todo' : 'lost.camera.todo')}</p>
        </div>
      )}
      {!seen && !gone && <p class="veil quiet">{t('stage.waiting')}</p>}
      {children}
    </figure>
  );
}

/** How old, how fast, how warm. */
export function Figures() {
  const age = Math.max(0, now.value - predictedAt.value) / 1000;
  const parts: string[] = [];
  if (prediction.value) {
    parts.push(t('figures.age', { s: number(age, age < 10 ? 1 : 0) }));
    if (prediction.value.infer_ms !== undefined) {
      parts.push(t('figures.ms', { ms: number(prediction.value.infer_ms) }));
    }
  }
  const { fps, temperature_c: heat, cpu_percent: load, written_bytes: written } = stats.value ?? {};
  if (fps !== undefined) {
    parts.push(t('figures.fps', { fps: number(fps) }));
  }
  if (load !== undefined) {
    parts.push(t('figures.cpu', { load: number(load) }));
  }
  if (heat !== undefined) {
    parts.push(t('figures.heat', { heat: number(heat) }));
  }
  if (written !== undefined) {
    parts.push(t('figures.written', { mb: number(written / 1e6) }));
  }
  return <p class="figures">{parts.join(' · ')}</p>;
}

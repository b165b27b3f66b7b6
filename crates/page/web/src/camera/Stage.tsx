import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { base } from '../api.ts';
import { capture, link, lost, now, predictedAt, prediction, stats, view } from '../board.ts';
import { Icon } from '../parts/Icon.tsx';
import { number, t } from '../words.ts';
import { Region } from './Region.tsx';

const AGAIN = 3000;

/** Whether the stream was refused because enough people look: an image does not say why it failed. */
async function isBusy(): Promise<boolean> {
  const stop = new AbortController();
  try {
    const response = await fetch(`${base}/stream`, { signal: stop.signal });
    return response.status === 503;
  } catch {
    return false;
  } finally {
    stop.abort();
  }
}

/** The live picture of the whole frame, what the network looks at drawn over it, and what is wrong with it. */
export function Stage({ children }: { children?: ComponentChildren }) {
  const figure = useRef<HTMLElement>(null);
  const image = useRef<HTMLImageElement>(null);
  const [seen, setSeen] = useState(false);
  const [busy, setBusy] = useState(false);
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
      setSeen(false);
      void isBusy().then(setBusy);
      clearTimeout(timer);
      timer = window.setTimeout(open, AGAIN);
    };
    const look = () => (document.visibilityState === 'visible' ? open() : close());
    const first = () => {
      setSeen(true);
      setBusy(false);
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
      {!seen && !gone && <p class="veil quiet">{t(busy ? 'stage.busy' : 'stage.waiting')}</p>}
      {children}
    </figure>
  );
}

const LOOK = 2000;
const SIZE = 32;
const DARK = 36;
const BRIGHT = 232;
const SMALL = 96;

/** What a person would not notice on a small screen: the picture is dark, overexposed or small. */
export function Quality() {
  const [mean, setMean] = useState<number | null>(null);
  useEffect(() => {
    const canvas = document.createElement('canvas');
    canvas.width = SIZE;
    canvas.height = SIZE;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const timer = setInterval(() => {
      const image = document.querySelector<HTMLImageElement>('.stage[data-live="true"] > img');
      if (!image || !context || image.naturalWidth === 0) {
        setMean(null);
        return;
      }
      context.drawImage(image, 0, 0, SIZE, SIZE);
      const { data } = context.getImageData(0, 0, SIZE, SIZE);
      let sum = 0;
      for (let i = 0; i < data.length; i += 4) {
        sum += 0.3 * (data[i] ?? 0) + 0.6 * (data[i + 1] ?? 0) + 0.1 * (data[i + 2] ?? 0);
      }
      setMean(sum / (SIZE * SIZE));
    }, LOOK);
    return () => clearInterval(timer);
  }, []);
  const seen = view.value;
  const px = seen?.frame ? Math.round(seen.frame.width * (seen.shows?.[2] ?? 1)) : SMALL;
  const told = [
    mean !== null && mean < DARK && t('quality.dark'),
    mean !== null && mean > BRIGHT && t('quality.bright'),
    px < SMALL && t('quality.small', { px }),
  ].filter((text) => text !== false);
  return (
    <>
      {told.map((text) => (
        <p key={text} class="hint">
          <Icon name="warn" />
          {text}
        </p>
      ))}
    </>
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

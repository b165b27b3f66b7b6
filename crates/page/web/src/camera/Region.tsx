import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { act, note } from '../actions.ts';
import { refresh, view } from '../board.ts';
import { Act } from '../parts/Act.tsx';
import { Commands, Line } from '../parts/Commands.tsx';
import { Icon } from '../parts/Icon.tsx';
import { type Box, type Handle, drag, fraction, handles } from '../region.ts';
import { percent, t, type Word } from '../words.ts';

const WHOLE: Box = [0, 0, 1, 1];
/** The region while it is being changed. */
export const editing = signal<Box | null>(null);

const shows = (): Box => (view.value?.shows ?? view.value?.region ?? WHOLE) as Box;

/** The part of the frame that the network looks at, drawn over the picture; it is dragged while it is changed. */
export function Region() {
  const box = useRef<HTMLDivElement>(null);
  const [left, top, width, height] = editing.value ?? shows();
  useEffect(() => {
    const style = box.current?.style;
    style?.setProperty('left', `${left * 100}%`);
    style?.setProperty('top', `${top * 100}%`);
    style?.setProperty('width', `${width * 100}%`);
    style?.setProperty('height', `${height * 100}%`);
  }, [left, top, width, height]);

  function begin(handle: Handle, event: PointerEvent) {
    const target = event.currentTarget as HTMLElement;
    const area = box.current?.parentElement?.getBoundingClientRect();
    const start = editing.value;
    if (!area || !start) {
      return;
    }
    event.preventDefault();
    target.setPointerCapture(event.pointerId);
    target.focus();
    const move = (to: PointerEvent) => {
      editing.value = drag(
        start,
        handle,
        (to.clientX - event.clientX) / area.width,
        (to.clientY - event.clientY) / area.height,
      );
    };
    const end = () => {
      target.removeEventListener('pointermove', move);
    };
    target.addEventListener('pointermove', move);
    target.addEventListener('pointerup', end, { once: true });
    target.addEventListener('pointercancel', end, { once: true });
  }

  function press(handle: Handle, event: KeyboardEvent) {
    const by = event.shiftKey ? 0.05 : 0.01;
    const steps: Record<string, [number, number]> = {
      ArrowLeft: [-by, 0],
      ArrowRight: [by, 0],
      ArrowUp: [0, -by],
      ArrowDown: [0, by],
    };
    const step = steps[event.key];
    if (step && editing.value) {
      event.preventDefault();
      editing.value = drag(editing.value, handle, step[0], step[1]);
    }
  }

  return (
    <div ref={box} class="region" data-editing={editing.value !== null} data-whole={width * height > 0.995}>
      {editing.value &&
        handles.map((handle) => (
          <button
            key={handle}
            type="button"
            class={`handle ${handle}`}
            aria-label={t(`region.${handle}` as Word)}
            onPointerDown={(event) => begin(handle, event)}
            onKeyDown={(event) => press(handle, event)}
          />
        ))}
    </div>
  );
}

/** What of the frame is looked at, in words, and the way to change it. */
export function RegionLine() {
  const part = fraction(editing.value ?? shows());
  const whole = part > 0.995;
  const changeable = view.value?.changeable !== false;
  const body = (box: Box) => ({
    action: 'set',
    values: { 'backbone.roi': fraction(box) > 0.995 ? [] : box.map((x) => Math.round(x * 1000) / 1000) },
  });

  async function save(box: Box) {
    const whole = fraction(box) > 0.995;
    const values = whole ? { 'backbone.roi': [], 'backbone.crop': 'whole' } : body(box).values;
    if (await act('config', { action: 'set', values })) {
      editing.value = null;
      note(t('region.saved'));
      setTimeout(() => void refresh(), 300);
    }
  }

  if (editing.value === null) {
    return (
      <div class="row between">
        <p class="quiet">
          <Icon name="eye" /> {whole ? t('region.all') : t('region.part', { part: percent(part) })}
        </p>
        <Act
          class="small"
          why={view.value === null && t('region.unknown')}
          onClick={() => {
            editing.value = whole ? [0.15, 0.15, 0.7, 0.7] : shows();
          }}
        >
          <Icon name="region" />
          {t('region.change')}
        </Act>
      </div>
    );
  }
  const box = editing.value;
  return (
    <div class="stack tight">
      <p>{t('region.how', { part: percent(part) })}</p>
      <div class="row">
        {changeable ? (
          <Act class="main small" onClick={() => void save(box)}>
            {t('region.save')}
          </Act>
        ) : (
          <p class="small">{t('region.fixed')}</p>
        )}
        {changeable && (
          <Act class="small" onClick={() => void save(WHOLE)}>
            {t('region.whole')}
          </Act>
        )}
        <Act class="small" looks onClick={() => (editing.value = null)}>
          {t('cancel')}
        </Act>
      </div>
      <p class="small quiet">{t('region.effect')}</p>
      {changeable ? (
        <Commands op="config" body={body(box)} />
      ) : (
        <Line text={`backbone.roi = [${box.map((x) => x.toFixed(3)).join(', ')}]`} />
      )}
    </div>
  );
}

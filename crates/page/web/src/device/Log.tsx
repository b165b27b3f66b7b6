import { happenings } from '../board.ts';
import { say } from '../sentences.ts';
import type { Happening } from '../shapes.ts';
import { clock, maybe, t } from '../words.ts';

/** What happened since the page was opened. */
export function Log() {
  return (
    <section class="card" aria-label={t('device.log')}>
      <p class="small quiet">{t('log.how')}</p>
      {happenings.value.length === 0 && <p class="quiet">{t('log.none')}</p>}
      <ol class="rows log" aria-live="polite">
        {happenings.value.map((event, index) => (
          <li key={happenings.value.length - index}>
            <time class="small quiet" dateTime={event.ts}>
              {clock(event.ts)}
            </time>
            <div class="grow">
              <p>{maybe(`event.${event.type}`) ?? event.type}</p>
              <p class="small quiet">{facts(event)}</p>
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}

function facts(event: Happening): string {
  const data = event.data ?? {};
  const parts = ['class', 'kept', 'skipped', 'version', 'text', 'reason', 'verdict', 'waiting_for']
    .filter((key) => ['string', 'number'].includes(typeof data[key]))
    .map((key) => (key === 'waiting_for' ? say(String(data[key])) : `${maybe(`fact.${key}`) ?? key}: ${String(data[key])}`));
  if (event.error) {
    parts.push(say(event.error.message));
  }
  return parts.join(' · ');
}

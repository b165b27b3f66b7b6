import { to } from '../address.ts';
import { classes, counts, state } from '../board.ts';
import { tint } from '../keys.ts';
import { number, t } from '../words.ts';

/** One class, or all of them. */
export function Filter({ view, chosen }: { view: string; chosen: string | null }) {
  const all = Object.values(counts.value).reduce((sum, n) => sum + n, 0);
  const per = (name: string) =>
    view === 'bursts' ? (state.value?.dataset.bursts[name] ?? 0) : (counts.value[name] ?? 0);
  const total = view === 'bursts' ? classes.value.reduce((sum, name) => sum + per(name), 0) : all;
  return (
    <nav class="row wrap" aria-label={t('filter')}>
      <a class="chip" href={to(['samples', view])} aria-current={chosen === null ? 'true' : undefined}>
        {t('filter.all')} <span class="quiet">{number(total)}</span>
      </a>
      {classes.value.map((name) => (
        <a
          key={name}
          class={`chip ${tint(name)}`}
          href={to(['samples', view], { class: name })}
          aria-current={chosen === name ? 'true' : undefined}
        >
          <span class="swatch" aria-hidden="true" />
          {name} <span class="quiet">{number(per(name))}</span>
        </a>
      ))}
    </nav>
  );
}

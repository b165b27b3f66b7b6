import { address, to } from '../address.ts';
import { state } from '../board.ts';
import { t, type Word } from '../words.ts';
import { Bursts } from './Bursts.tsx';
import { Confusion } from './Confusion.tsx';
import { Pictures } from './Pictures.tsx';
import { Suspects } from './Suspects.tsx';
import { Worst } from './Worst.tsx';

const VIEWS = ['bursts', 'pictures', 'suspects', 'confusion', 'worst'] as const;

export function Samples() {
  const asked = address.value.path[1] ?? 'bursts';
  const view = asked === 'burst' ? 'bursts' : asked;
  return (
    <main class="view" id="main" tabIndex={-1}>
      <h1>{t('nav.samples')}</h1>
      <nav class="tabs" aria-label={t('nav.samples')}>
        {VIEWS.map((name) => (
          <a key={name} href={to(['samples', name])} aria-current={view === name ? 'page' : undefined}>
            {t(`samples.${name}` as Word)}
            {name === 'suspects' && (state.value?.advice?.suspects ?? 0) > 0 && (
              <span class="badge">{state.value?.advice?.suspects}</span>
            )}
          </a>
        ))}
      </nav>
      {asked === 'burst' ? (
        <Pictures key={address.value.path[2]} burst={address.value.path[2] ?? ''} />
      ) : view === 'pictures' ? (
        <Pictures key={address.value.query.get('class') ?? ''} />
      ) : view === 'suspects' ? (
        <Suspects />
      ) : view === 'confusion' ? (
        <Confusion />
      ) : view === 'worst' ? (
        <Worst />
      ) : (
        <Bursts />
      )}
    </main>
  );
}

import { address, to } from '../address.ts';
import { t, type Word } from '../words.ts';
import { Checks } from './Checks.tsx';
import { Jobs } from './Jobs.tsx';
import { Log } from './Log.tsx';
import { Overview } from './Overview.tsx';
import { Settings } from './Settings.tsx';
import { Transfer } from './Transfer.tsx';

const VIEWS = { overview: Overview, transfer: Transfer, settings: Settings, jobs: Jobs, log: Log, checks: Checks };
type Name = keyof typeof VIEWS;

export function Device() {
  const asked = address.value.path[1] as Name;
  const name: Name = asked in VIEWS ? asked : 'overview';
  const View = VIEWS[name];
  return (
    <main class="view" id="main" tabIndex={-1}>
      <h1>{t('nav.device')}</h1>
      <nav class="tabs" aria-label={t('nav.device')}>
        {Object.keys(VIEWS).map((one) => (
          <a key={one} href={to(['device', one])} aria-current={one === name ? 'page' : undefined}>
            {t(`device.${one}` as Word)}
          </a>
        ))}
      </nav>
      <View />
    </main>
  );
}

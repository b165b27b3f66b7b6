import { useEffect, useState } from 'preact/hooks';
import { Help } from './Help.tsx';
import { Login } from './Login.tsx';
import { undo } from './actions.ts';
import { address, go, to } from './address.ts';
import { admin, device, link, session, state } from './board.ts';
import { Camera } from './camera/Camera.tsx';
import { Device } from './device/Device.tsx';
import { Heads } from './heads/Heads.tsx';
import { Act } from './parts/Act.tsx';
import { showing, toggle } from './parts/Commands.tsx';
import { Icon, type IconName } from './parts/Icon.tsx';
import { Notes } from './parts/Notes.tsx';
import { Samples } from './samples/Samples.tsx';
import { install } from './shortcuts.ts';
import { Start, first } from './start/Start.tsx';
import { t, type Word } from './words.ts';

const PLACES: [string, IconName][] = [
  ['camera', 'camera'],
  ['samples', 'pictures'],
  ['heads', 'heads'],
  ['device', 'board'],
];

export function App() {
  const [help, setHelp] = useState(false);
  useEffect(() => install(() => setHelp(true)), []);
  const place = address.value.path[0] ?? 'camera';

  // Whoever opens a board that was never taught begins with the four steps.
  useEffect(() => {
    if (first() && admin.value) {
      go(['start']);
    }
  }, [state.value === null, admin.value]);

  // A new view begins at its top, for eyes and for screen readers.
  useEffect(() => {
    document.title = `${t(`nav.${place}` as Word)} · ${device.value || 'graft'}`;
  }, [place, device.value]);

  if (session.value?.role === 'none') {
    return <Login />;
  }
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.getElementById('main')?.focus();
      }}>
        {t('skip.to')}
      </a>
      <header class="top">
        <a class="brand" href={to(['camera'])}>
          <Icon name="leaf" />
          <span>{device.value || 'graft'}</span>
        </a>
        <nav class="places" aria-label={t('nav')}>
          {PLACES.map(([name, icon]) => (
            <a key={name} href={to([name])} aria-current={place === name ? 'page' : undefined}>
              <Icon name={icon} />
              <span>{t(`nav.${name}` as Word)}</span>
            </a>
          ))}
        </nav>
        <div class="row tools">
          <Link />
          <Act class="bare" label={t('undo.last')} onClick={() => void undo()}>
            <Icon name="undo" />
          </Act>
          <Act class="bare" looks label={t('page.commands')} pressed={showing.value} onClick={toggle}>
            <Icon name="code" />
          </Act>
          <Act class="bare" looks label={t('help')} onClick={() => setHelp(true)}>
            <Icon name="help" />
          </Act>
        </div>
      </header>
      {place === 'start' ? (
        <Start />
      ) : place === 'samples' ? (
        <Samples />
      ) : place === 'heads' ? (
        <Heads />
      ) : place === 'device' ? (
        <Device />
      ) : (
        <Camera />
      )}
      <Notes />
      {help && <Help onClose={() => setHelp(false)} />}
    </>
  );
}

/** The connection and what the board does, in a word. */
function Link() {
  const board = state.value;
  const words: Word =
    link.value === 'lost'
      ? 'link.lost'
      : link.value === 'connecting' || !board
        ? 'link.connecting'
        : board.adaptation.phase === 'training'
          ? 'link.training'
          : board.wanted === 'adapt'
            ? 'link.adapt'
            : board.wanted === 'pause'
              ? 'link.pause'
              : 'link.infer';
  return (
    <p class="link" data-link={words} role="status">
      <span class="dot" aria-hidden="true" />
      {t(words)}
    </p>
  );
}

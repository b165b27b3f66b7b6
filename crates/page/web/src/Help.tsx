import { keys } from './keys.ts';
import { Dialog } from './parts/Dialog.tsx';
import { t } from './words.ts';

/** The keys there are. */
export function Help({ onClose }: { onClose: () => void }) {
  const rows: [string, string][] = [
    ...[...keys.value].map(([name, key]): [string, string] => [key, t('help.class', { class: name })]),
    ['u', t('help.undo')],
    ['Ctrl Z', t('help.undo')],
    ['g c', t('help.camera')],
    ['g s', t('help.samples')],
    ['g h', t('help.heads')],
    ['g d', t('help.device')],
    ['↑ ↓ ← →', t('help.arrows')],
    ['x', t('help.choose')],
    [t('help.delete.key'), t('help.delete')],
    ['Esc', t('help.escape')],
    ['?', t('help.help')],
  ];
  return (
    <Dialog title={t('help')} onClose={onClose}>
      <p>{t('help.how')}</p>
      <dl class="facts keys">
        {rows.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

import { useState } from 'preact/hooks';
import { classes } from '../board.ts';
import { keys, tint } from '../keys.ts';
import { Act } from '../parts/Act.tsx';
import { Icon } from '../parts/Icon.tsx';
import { many, t } from '../words.ts';

interface Props {
  count: number;
  what: 'bursts' | 'samples';
  onGive: (name: string | null) => void;
  onAll?: () => void;
  onNone: () => void;
}

/** What can be done with what is chosen; it stays in sight. */
export function Toolbar({ count, what, onGive, onAll, onNone }: Props) {
  const [sure, setSure] = useState(false);
  if (count === 0) {
    return null;
  }
  return (
    <div class="toolbar" role="toolbar" aria-label={t('chosen')}>
      <p>
        <strong>{many(`chosen.${what}`, count)}</strong>
      </p>
      <div class="row wrap">
        <span class="small quiet">{t('chosen.give')}</span>
        {classes.value.map((name) => (
          <Act key={name} class={`chip ${tint(name)}`} onClick={() => onGive(name)}>
            <span class="swatch" aria-hidden="true" />
            {name}
            {keys.value.get(name) && <kbd>{keys.value.get(name)}</kbd>}
          </Act>
        ))}
        {sure ? (
          <Act
            class="danger small"
            onClick={() => {
              setSure(false);
              onGive(null);
            }}
          >
            {t('delete.sure')}
          </Act>
        ) : (
          <Act class="small" onClick={() => setSure(true)}>
            <Icon name="trash" />
            {t('delete')}
          </Act>
        )}
        {onAll && (
          <Act looks class="small" onClick={onAll}>
            {t('chosen.all')}
          </Act>
        )}
        <Act looks class="small" onClick={onNone}>
          {t('chosen.nothing')}
        </Act>
      </div>
    </div>
  );
}

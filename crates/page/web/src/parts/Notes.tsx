import { dismiss, notes, undo } from '../actions.ts';
import { t } from '../words.ts';
import { Icon } from './Icon.tsx';

/** What was done or went wrong, with the way back. */
export function Notes() {
  return (
    <div class="notes">
      <div role="status" aria-live="polite">
        {notes.value.filter((one) => !one.bad).map(Note)}
      </div>
      <div role="alert">{notes.value.filter((one) => one.bad).map(Note)}</div>
    </div>
  );
}

function Note(one: (typeof notes.value)[number]) {
  return (
    <div key={one.id} class={one.bad ? 'note bad' : 'note'}>
      <Icon name={one.bad ? 'warn' : 'check'} />
      <div class="grow">
        <p>{one.text}</p>
        {one.remedy && <p class="small">{one.remedy}</p>}
      </div>
      {one.undo && (
        <button
          type="button"
          class="button small"
          onClick={() => {
            dismiss(one.id);
            void undo();
          }}
        >
          <Icon name="undo" />
          {t('undo')}
        </button>
      )}
      <button type="button" class="button bare" aria-label={t('close')} onClick={() => dismiss(one.id)}>
        <Icon name="close" />
      </button>
    </div>
  );
}

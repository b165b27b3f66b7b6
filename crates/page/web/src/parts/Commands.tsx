import { signal } from '@preact/signals';
import { device } from '../board.ts';
import { mqtt, shell } from '../commands.ts';
import { t } from '../words.ts';
import { note } from '../actions.ts';
import { Icon } from './Icon.tsx';

/** Whether actions show their commands. */
export const showing = signal(localStorage.getItem('commands') === 'on');

export function toggle(): void {
  showing.value = !showing.value;
  localStorage.setItem('commands', showing.value ? 'on' : 'off');
}

/** The command that an action sends, as a line for a shell and as a message, to copy. */
export function Commands({ op, body, always }: { op: string; body: Record<string, unknown> | string; always?: boolean }) {
  if (!showing.value && !always) {
    return null;
  }
  const line = shell(op, body);
  return (
    <div class="commands">
      {line !== undefined && <Line text={line} />}
      <Line text={mqtt(device.value, op, body)} />
    </div>
  );
}

export function Line({ text }: { text: string }) {
  return (
    <div class="line">
      <code tabIndex={0} aria-label={t('command')}>
        {text}
      </code>
      <button type="button" class="button bare" title={t('copy')} aria-label={t('copy')} onClick={() => void copy(text)}>
        <Icon name="copy" />
      </button>
    </div>
  );
}

async function copy(text: string): Promise<void> {
  try {
    // Not there on a page without TLS from another machine.
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement('textarea');
    field.value = text;
    field.className = 'unseen';
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  note(t('copied'));
}

import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { note } from '../actions.ts';
import { admin } from '../board.ts';
import { t } from '../words.ts';

interface Props {
  children: ComponentChildren;
  onClick?: () => unknown;
  class?: string;
  /** Why it cannot be used now; said instead of doing it. */
  why?: string | null | false;
  /** It changes nothing, so that a viewer may use it. */
  looks?: boolean;
  label?: string;
  pressed?: boolean;
  /** It sends the form that it is in; `onClick` is not called. */
  submit?: boolean;
}

/** Why an action is off: the reason given, or that this visitor may only look. */
export function reason(why: string | null | false | undefined, looks = false): string | null {
  return why || (looks || admin.value ? null : t('viewer.why'));
}

/** A button that says why it is off instead of being silent. */
export function Act({ children, onClick, class: style = '', why, looks, label, pressed, submit }: Props) {
  const id = useId();
  const off = reason(why, looks);
  return (
    <button
      type={submit ? 'submit' : 'button'}
      class={`button ${style}`}
      aria-disabled={off !== null}
      aria-describedby={off === null ? undefined : id}
      aria-label={label}
      aria-pressed={pressed}
      title={off ?? label}
      onClick={(event) => {
        if (off !== null) {
          event.preventDefault();
          note(off);
        } else if (!submit) {
          onClick?.();
        }
      }}
    >
      {children}
      {off !== null && (
        <span hidden id={id}>
          {off}
        </span>
      )}
    </button>
  );
}

// Keys of the classes: 1 to 9 and then letters, in the order of the classes, unless somebody chose another one.
import { computed, signal } from '@preact/signals';
import { assign } from './assign.ts';
import { classes } from './board.ts';

function load(): Record<string, string> {
  try {
    return JSON.parse(localStorage.getItem('keys') ?? '{}') as Record<string, string>;
  } catch {
    return {};
  }
}

const chosen = signal<Record<string, string>>(load());

export const keys = computed(() => assign(classes.value, chosen.value));

export function choose(name: string, key: string): void {
  const others = Object.entries(chosen.value).filter(([other, its]) => other !== name && its !== key);
  chosen.value = Object.fromEntries(key === '' ? others : [...others, [name, key]]);
  localStorage.setItem('keys', JSON.stringify(chosen.value));
}

/** Keys are dead while somebody types, or holds another key with them. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  const field = target?.closest('input:not([type=checkbox], [type=range], [type=radio]), textarea, select, dialog');
  return field !== null && field !== undefined;
}

/** One of eight colours beside the name, never instead of it. */
export function tint(name: string): string {
  const at = classes.value.indexOf(name);
  return at < 0 ? 'tint-none' : `tint-${at % 8}`;
}

import { effect, signal } from '@preact/signals';
import { get } from '../api.ts';
import { session, state } from '../board.ts';
import type { Heads, HeadRow } from '../shapes.ts';

export const heads = signal<HeadRow[]>([]);
export const listed = signal<Heads | null>(null);

export async function load(): Promise<void> {
  try {
    const all = await get<Heads>('heads');
    listed.value = all;
    heads.value = [...all.heads].sort((a, b) => b.version - a.version);
  } catch {
    // Shown as it was; the lost connection is told elsewhere.
  }
}

let known = '';

/** The list is read again whenever another head serves, or is pinned. */
export function follow(): void {
  effect(() => {
    const head = state.value?.head;
    const key = `${session.value?.role} ${head?.version} ${head?.pinned}`;
    if (key !== known && session.value && session.value.role !== 'none') {
      known = key;
      void load();
    }
  });
}

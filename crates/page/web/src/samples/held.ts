import { useEffect, useState } from 'preact/hooks';
import { get } from '../api.ts';
import { round, state } from '../board.ts';
import type { HeldOut } from '../shapes.ts';

/** What the latest round's head said of each picture while it was held out, the wrong ones first. */
export function useHeldOut(): HeldOut | null {
  const [held, setHeld] = useState<HeldOut | null>(null);
  useEffect(() => {
    get<HeldOut>('held_out').then(setHeld, () => setHeld({ head: null, rows: [] }));
  }, [round.value?.id, state.value?.head?.version, state.value?.dataset.rev]);
  return held;
}

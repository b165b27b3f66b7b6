// Holding a button or a key: it records while it is held, and a tap takes one picture.
import { hold, release, snap } from '../actions.ts';
import { get } from '../api.ts';
import { capture } from '../board.ts';
import type { Status } from '../shapes.ts';

/** Shorter than this it was a tap. */
const TAP_MS = 250;
const LOOK_MS = 300;

let timer: number | undefined;
let looking: number | undefined;
let begun: Promise<boolean> | undefined;
let held: string | undefined;

export function press(name: string): void {
  if (held !== undefined) {
    return;
  }
  held = name;
  timer = window.setTimeout(() => {
    timer = undefined;
    begun = hold(name);
    looking = window.setInterval(() => void look(), LOOK_MS);
  }, TAP_MS);
}

export async function let_go(canceled = false): Promise<void> {
  const name = held;
  if (name === undefined) {
    return;
  }
  held = undefined;
  clearInterval(looking);
  if (timer !== undefined) {
    clearTimeout(timer);
    timer = undefined;
    if (!canceled) {
      await snap(name);
    }
    return;
  }
  const ran = await begun;
  begun = undefined;
  if (ran) {
    await release();
  }
}

/** How far it is: the board counts. */
async function look(): Promise<void> {
  const status = await get<Status>('status').catch(() => undefined);
  if (status?.capture && held !== undefined) {
    capture.value = status.capture;
  }
}

// Nobody holds a button of a window that is not in front.
addEventListener('blur', () => void let_go(true));

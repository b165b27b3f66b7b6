// What people do, and how it is told: each action is a command, and its failure is explained where it happened.
import { signal } from '@preact/signals';
import { Refused, command } from './api.ts';
import { admin, capture, glance, refresh, state } from './board.ts';
import type { Capture, Reply } from './shapes.ts';
import { many, maybe, t } from './words.ts';

export interface Note {
  id: number;
  text: string;
  remedy?: string;
  bad: boolean;
  /** Whether `undo` takes it back. */
  undo: boolean;
}

export const notes = signal<Note[]>([]);
/** How many steps of the data set `undo` takes back at once: a hold or a strip is one to people. */
const steps: { rev: number; many: number }[] = [];
let counter = 0;

export function note(text: string, more: Partial<Note> = {}): void {
  counter += 1;
  const id = counter;
  notes.value = [...notes.value.slice(-2), { id, text, bad: false, undo: false, ...more }];
  if (!more.bad) {
    setTimeout(() => {
      dismiss(id);
    }, 6000);
  }
}

export function dismiss(id: number): void {
  notes.value = notes.value.filter((other) => other.id !== id);
}

export function failed(error: unknown): void {
  if (error instanceof Refused) {
    const { code, message } = error.fault;
    const title = maybe(`fault.${code}`) ?? message;
    const remedy = maybe(`remedy.${code}`);
    const own = title === message ? '' : message;
    note(title, { bad: true, remedy: [own, remedy].filter(Boolean).join(' — ') });
  } else {
    note(String(error), { bad: true });
  }
}

/** Sends a command; a failure is told, and gives nothing. */
export async function act(op: string, body: object | string): Promise<Reply | undefined> {
  if (!admin.value) {
    note(t('viewer.why'), { bad: true });
    return undefined;
  }
  try {
    const reply = await command(op, body);
    if (AT_ONCE.has(op)) {
      await refresh();
    }
    return reply;
  } catch (error) {
    failed(error);
    return undefined;
  }
}

/** The board tells its state once a second; what these change is to be seen at once. */
const AT_ONCE = new Set(['dataset', 'mode']);

const revision = (reply: Reply | undefined) => Number(reply?.data?.rev ?? state.value?.dataset.rev ?? 0);

/** A change of the data set that one `undo` takes back. */
export async function change(op: string, body: object, done: string): Promise<Reply | undefined> {
  const reply = await act(op, body);
  if (reply) {
    note(done, { undo: true });
  }
  return reply;
}

/** One after the other: what undo takes back has to be told first. */
let last: Promise<unknown> = Promise.resolve();
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const next = last.then(work, work);
  last = next.catch(() => undefined);
  return next;
}

/** Begins to record; false if it could not. */
export function hold(name: string): Promise<boolean> {
  return inTurn(() => started(name));
}

async function started(name: string): Promise<boolean> {
  const reply = await act('capture', { action: 'start', class: name });
  if (reply) {
    capture.value = { class: name, burst: String(reply.data?.burst ?? ''), kept: 0, skipped: 0, seconds: 0 };
  }
  return reply !== undefined;
}

export function release(): Promise<Capture | undefined> {
  return inTurn(stopped);
}

async function stopped(): Promise<Capture | undefined> {
  const reply = await act('capture', 'stop');
  capture.value = null;
  const ended = reply?.data as unknown as Capture | undefined;
  if (ended && ended.kept > 0) {
    // Each kept frame is one step of the board's journal.
    steps.push({ rev: await newest(), many: ended.kept });
    note(many('hold.done', ended.kept, { class: ended.class, skipped: ended.skipped }), { undo: true });
  } else if (ended) {
    note(t('hold.nothing'));
  }
  return ended;
}

async function newest(): Promise<number> {
  const status = await glance().catch(() => undefined);
  return status?.dataset.rev ?? 0;
}

/** One picture. */
export function snap(name: string): Promise<void> {
  return inTurn(() => one(name));
}

async function one(name: string): Promise<void> {
  const reply = await act('capture', { action: 'snap', class: name });
  if (reply) {
    note(t('hold.snap', { class: name }), { undo: true });
  }
}

/** Gives a class to frames that have passed, as one burst. */
export function label(frames: number[], name: string): Promise<number> {
  return inTurn(() => several(frames, name));
}

async function several(frames: number[], name: string): Promise<number> {
  const burst = `strip-${Date.now().toString(36)}`;
  let done = 0;
  let reply: Reply | undefined;
  let failure: unknown;
  for (const frame of frames) {
    try {
      reply = await command('label', { action: 'set', class: name, frame, burst });
      done += 1;
    } catch (error) {
      failure = error;
      if (!(error instanceof Refused && error.fault.code === 'not_found')) {
        break;
      }
    }
  }
  if (done > 0) {
    steps.push({ rev: revision(reply), many: done });
    const gone = frames.length - done;
    note(many('strip.done', done, { class: name }) + (gone > 0 ? ` ${many('strip.gone', gone)}` : ''), { undo: true });
  } else if (failure !== undefined) {
    failed(failure);
  }
  return done;
}

/** Takes the last change back: all of a hold or of a strip, if nothing changed since. */
export function undo(): Promise<void> {
  return inTurn(back);
}

async function back(): Promise<void> {
  const newestStep = steps[steps.length - 1];
  const rev = newestStep === undefined ? 0 : await newest();
  const whole = newestStep !== undefined && newestStep.rev === rev ? steps.pop() : undefined;
  let left = whole?.many ?? 1;
  let taken = 0;
  let text = '';
  while (left > 0) {
    const reply = await act('label', 'undo');
    if (!reply) {
      break;
    }
    const affected = Number(reply.data?.affected ?? 1);
    taken += affected;
    text = String(reply.data?.text ?? '');
    left -= Math.max(1, affected);
  }
  if (taken > 0 || text !== '') {
    note(whole === undefined ? t('undo.done', { what: text.replace(/^undone: /, '') }) : many('undo.burst', taken));
  }
}

/** Relabels or deletes many samples as one step. */
export async function bulk(body: { burst?: string; samples?: number[] }, name: string | null): Promise<boolean> {
  const what = name === null ? { action: 'delete', ...body } : { action: 'relabel', class: name, ...body };
  const reply = await act('label', what);
  if (!reply) {
    return false;
  }
  const n = Number(reply.data?.affected ?? body.samples?.length ?? 1);
  note(name === null ? many('bulk.deleted', n) : many('bulk.relabelled', n, { class: name }), { undo: true });
  return true;
}

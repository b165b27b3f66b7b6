// What the page knows of the board, kept up to date by server-sent events.
import { computed, signal } from '@preact/signals';
import { read } from './answer.ts';
import { Refused, base, get } from './api.ts';
import { settings } from './settings.ts';
import type { Capture, DeviceState, Happening, Job, Prediction, Session, Stats, Status, View } from './shapes.ts';

export type Link = 'connecting' | 'open' | 'lost';

export const link = signal<Link>('connecting');
export const session = signal<Session | null>(null);
export const state = signal<DeviceState | null>(null);
export const status = signal<Status | null>(null);
export const prediction = signal<Prediction | null>(null);
/** When the newest prediction came, by this page's clock; its frame is `age_ms` older. */
export const predictedAt = signal(0);
export const agreed = signal<string | null>(null);
export const stats = signal<Stats | null>(null);
export const jobs = signal<Job[]>([]);
export const happenings = signal<Happening[]>([]);
export const view = signal<View | null>(null);
export const capture = signal<Capture | null>(null);
/** Frames of the last minute that it was not sure of, or that are like no class. */
export const unsure = signal<number[]>([]);
/** Counts up with each tick of a second, for ages. */
export const now = signal(Date.now());

export const admin = computed(() => session.value?.role === 'admin');
export const device = computed(() => session.value?.device ?? status.value?.device ?? '');
export const classes = computed(() => state.value?.dataset.classes ?? []);
export const counts = computed(() => state.value?.dataset.counts ?? {});
export const lost = computed(() => state.value?.reasons.includes('camera_lost') ?? false);
export const empty = computed(() => state.value !== null && Object.values(counts.value).every((n) => n === 0));
/** The latest round that ended. */
export const round = computed(() => jobs.value.find((job) => job.op === 'train' && ended(job)));

export const ended = (job: Job) => ['successful', 'failed', 'canceled'].includes(job.status);

const MOST_EVENTS = 300;

export function order(list: Job[]): Job[] {
  return [...list].sort((a, b) => Number(b.id) - Number(a.id));
}

const MOST_DOUBTS = 120;

function doubt(newest: Prediction): void {
  const { kind } = read(newest, Number(settings.value['predict.threshold'] ?? 0.5));
  if (kind === 'unsure' || kind === 'none_of_these') {
    unsure.value = [...unsure.value, newest.frame].slice(-MOST_DOUBTS);
  }
}

function told(type: string, data: unknown): void {
  switch (type) {
    case 'prediction':
      prediction.value = data as Prediction;
      predictedAt.value = Date.now() - (prediction.value.age_ms ?? 0);
      doubt(prediction.value);
      break;
    case 'label':
      agreed.value = data as string;
      break;
    case 'state':
      state.value = data as DeviceState;
      break;
    case 'stats':
      stats.value = data as Stats;
      break;
    case 'job': {
      const job = data as Job;
      jobs.value = order([job, ...jobs.value.filter((other) => other.id !== job.id)]);
      break;
    }
    case 'event':
      happenings.value = [data as Happening, ...happenings.value].slice(0, MOST_EVENTS);
      break;
    default:
  }
}

let source: EventSource | undefined;
let again: number | undefined;

function listen(): void {
  source?.close();
  const events = new EventSource(`${base}/events`);
  source = events;
  events.onopen = () => {
    link.value = 'open';
    void refresh();
  };
  events.onerror = () => {
    // The browser repeats by itself unless the answer was an error.
    link.value = 'lost';
    if (events.readyState === EventSource.CLOSED) {
      clearTimeout(again);
      again = window.setTimeout(() => void start(), 2000);
    }
  };
  // Too slow a reader has missed something.
  events.addEventListener('skipped', () => void refresh());
  for (const type of ['prediction', 'label', 'state', 'stats', 'job', 'event']) {
    events.addEventListener(type, (event) => {
      told(type, JSON.parse((event as MessageEvent<string>).data));
    });
  }
}

/** What the board does at this moment: what a round waits for changes more often than its state is told. */
export async function glance(): Promise<Status> {
  const whole = await get<Status>('status');
  status.value = whole;
  state.value = whole;
  return whole;
}

const CHANGING = /^(a round starts when|a capture is running)/;

/** Everything that no event tells. */
export async function refresh(): Promise<void> {
  try {
    const [whole, running, seen] = await Promise.all([
      get<Status>('status'),
      get<{ jobs: Job[] }>('jobs'),
      get<View>('view').catch(() => null),
    ]);
    status.value = whole;
    state.value = whole;
    capture.value = whole.capture ?? null;
    jobs.value = order(running.jobs);
    view.value = seen;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      await identify();
    }
  }
}

/** Asks what this visitor may do. */
export async function identify(): Promise<void> {
  try {
    session.value = await get<Session>('session');
  } catch (error) {
    if (error instanceof Refused && error.status === 404) {
      session.value = { role: 'admin', login: false };
      return;
    }
    link.value = 'lost';
    throw error;
  }
}

export async function start(): Promise<void> {
  try {
    await identify();
  } catch {
    again = window.setTimeout(() => void start(), 2000);
    return;
  }
  if (session.value?.role !== 'none') {
    listen();
  }
}

export function begin(): void {
  setInterval(() => {
    now.value = Date.now();
    const waits = state.value?.adaptation.waiting_for ?? '';
    if (link.value === 'open' && document.visibilityState === 'visible' && CHANGING.test(waits)) {
      glance().catch(() => undefined);
    }
  }, 1000);
  void start();
}

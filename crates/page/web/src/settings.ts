// Settings of the board that can change while it runs, as docs/reference/config.md lists them.
import { signal } from '@preact/signals';
import { get } from './api.ts';

export type Kind =
  | { kind: 'number'; min: number; max: number; whole?: boolean; optional?: boolean }
  | { kind: 'choice'; of: string[] }
  | { kind: 'flag' }
  | { kind: 'text' };

const whole = (min: number, max: number): Kind => ({ kind: 'number', min, max, whole: true });
const number = (min: number, max: number): Kind => ({ kind: 'number', min, max });

export const RUNTIME: Record<string, Kind> = {
  'predict.vote': whole(1, 100),
  'predict.threshold': number(0, 1),
  'predict.max_hz': number(0, 30),
  'capture.hz': number(0.1, 30),
  'capture.max': whole(1, 1000),
  'capture.skip_above': number(0, 1),
  'capture.burst_gap_s': number(0, 3600),
  'learn.head': { kind: 'choice', of: ['auto', 'imprint', 'ridge', 'softmax'] },
  'learn.idle_s': number(0, 86400),
  'learn.new_samples': whole(1, 100000),
  'learn.min_samples_per_class': whole(1, 100000),
  'learn.min_bursts_per_class': whole(1, 10000),
  'learn.reject_rate': number(0.001, 0.5),
  'learn.target_accuracy': number(0.5, 1),
  'gate.max_loss_points': number(0, 100),
  'gate.max_class_loss_points': number(0, 100),
  'gate.class_bursts': whole(1, 10000),
  'budget.pause_c': number(20, 120),
  'budget.resume_c': number(0, 119),
  'budget.slowdown': number(1, 100),
  'budget.write_per_day': { kind: 'text' },
  'offload.automatic': { kind: 'flag' },
  'offload.recipe': {
    kind: 'choice',
    of: [
      'auto',
      'head',
      'partial:1',
      'partial:2',
      'partial:3',
      'gradual',
      'gradual+live',
      'full',
      'full+frozen',
      'full+live',
      'scratch',
    ],
  },
  'offload.give_up_h': number(0.01, 8760),
  'offload.upload_rate': { kind: 'text' },
  'offload.max_frame_ms': { kind: 'number', min: 1, max: 60000, optional: true },
  'offload.probation_s': number(1, 86400),
};

export const settings = signal<Record<string, unknown>>({});
export const origins = signal<Record<string, string>>({});

export async function load(): Promise<void> {
  const rows = await get<Record<string, { value: unknown; origin: string }>>('config');
  settings.value = Object.fromEntries(Object.entries(rows).map(([key, row]) => [key, row.value]));
  origins.value = Object.fromEntries(Object.entries(rows).map(([key, row]) => [key, row.origin]));
}

/** The value that a field's text means; none for one that is not allowed. */
export function parse(kind: Kind, text: string): string | number | boolean | undefined {
  switch (kind.kind) {
    case 'flag':
      return text === 'true';
    case 'choice':
      return kind.of.includes(text) ? text : undefined;
    case 'text':
      return text;
    case 'number': {
      if (kind.optional && text.trim() === '') {
        return '';
      }
      const value = Number(text.replace(',', '.'));
      const fits = text.trim() !== '' && value >= kind.min && value <= kind.max;
      return fits && (!kind.whole || Number.isInteger(value)) ? value : undefined;
    }
  }
}

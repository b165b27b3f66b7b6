// What the newest prediction says, as one of five answers that people must not mix up.
import type { Prediction } from './shapes.ts';

export type Answer =
  | { kind: 'waiting' }
  | { kind: 'no_head' }
  | { kind: 'none_of_these'; unknown: number }
  | { kind: 'unsure'; first: string; second: string | null; score: number }
  | { kind: 'class'; class: string; score: number };

/** Below `threshold` an answer does not count; the board's setting `predict.threshold`. */
export function read(prediction: Prediction | null, threshold: number): Answer {
  if (prediction === null) {
    return { kind: 'waiting' };
  }
  if (prediction.why === 'no_head' || prediction.head === 0) {
    return { kind: 'no_head' };
  }
  if (prediction.why === 'unknown' || prediction.label === null || prediction.label === undefined) {
    return { kind: 'none_of_these', unknown: prediction.unknown ?? 1 };
  }
  const score = prediction.score ?? 0;
  if (score < threshold) {
    return { kind: 'unsure', first: prediction.label, second: prediction.top[1]?.class ?? null, score };
  }
  return { kind: 'class', class: prediction.label, score };
}

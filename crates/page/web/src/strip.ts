// The strip of the last half minute: which frames lie under a drag over it.

/** Frames from index `from` to `to`, both in. */
export interface Range {
  from: number;
  to: number;
}

/** The frame under `x`, of `count` frames that share `width` pixels. */
export function at(x: number, width: number, count: number): number {
  if (count === 0 || width <= 0) {
    return 0;
  }
  return Math.min(count - 1, Math.max(0, Math.floor((x / width) * count)));
}

export function between(a: number, b: number): Range {
  return { from: Math.min(a, b), to: Math.max(a, b) };
}

/** One end moved by `step` frames; the ends never change places. */
export function moved(range: Range, end: 'from' | 'to', step: number, count: number): Range {
  if (end === 'from') {
    return { from: Math.min(range.to, Math.max(0, range.from + step)), to: range.to };
  }
  return { from: range.from, to: Math.max(range.from, Math.min(count - 1, range.to + step)) };
}

/** What of a selection is still kept, when the frames before `oldest` are gone. */
export function kept<F extends { frame: number }>(frames: F[], range: Range, oldest: number): F[] {
  return frames.slice(range.from, range.to + 1).filter((frame) => frame.frame >= oldest);
}

/** Which of `count` frames are shown as pictures, if `places` fit. */
export function shown(count: number, places: number): number[] {
  const many = Math.min(count, Math.max(1, places));
  return Array.from({ length: many }, (_, i) => Math.min(count - 1, Math.floor(((i + 0.5) * count) / many)));
}

/** Where frames lie that may not be kept themselves: at the first kept one that is not older. */
export function places(frames: { frame: number }[], wanted: number[]): number[] {
  const oldest = frames[0]?.frame ?? Infinity;
  const found = wanted
    .filter((frame) => frame >= oldest)
    .map((frame) => frames.findIndex((one) => one.frame >= frame))
    .filter((index) => index >= 0);
  return [...new Set(found)];
}

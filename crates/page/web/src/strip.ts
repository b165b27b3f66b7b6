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

/** One picture that stands for `many` frames from index `first` on. */
export interface Still {
  first: number;
  many: number;
}

/**
 * Which frames are shown as pictures: the first one of each stretch of `seconds`, so that a picture stays the same while
 * the strip moves on, and is fetched once.
 */
export function stills(frames: { ts: string }[], seconds: number): Still[] {
  const found: Still[] = [];
  let stretch: number | undefined;
  frames.forEach(({ ts }, index) => {
    const at = Math.floor(Date.parse(ts) / (seconds * 1000));
    const last = found[found.length - 1];
    if (last && at === stretch) {
      last.many += 1;
    } else {
      found.push({ first: index, many: 1 });
    }
    stretch = at;
  });
  return found;
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

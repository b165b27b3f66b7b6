// A box inside the frame, in fractions of it: left, top, width, height.

export type Box = [number, number, number, number];
export const handles = ['move', 'nw', 'ne', 'sw', 'se'] as const;
export type Handle = (typeof handles)[number];

const LEAST = 0.05;

const within = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

/** The box after one of its corners, or all of it, was dragged by a part of the frame. */
export function drag([left, top, width, height]: Box, handle: Handle, x: number, y: number): Box {
  if (handle === 'move') {
    return [within(left + x, 0, 1 - width), within(top + y, 0, 1 - height), width, height];
  }
  const west = handle.endsWith('w');
  const north = handle.startsWith('n');
  const l = west ? within(left + x, 0, left + width - LEAST) : left;
  const r = west ? left + width : within(left + width + x, left + LEAST, 1);
  const u = north ? within(top + y, 0, top + height - LEAST) : top;
  const d = north ? top + height : within(top + height + y, top + LEAST, 1);
  return [l, u, r - l, d - u];
}

/** The part of the frame that lies in it. */
export function fraction([, , width, height]: Box): number {
  return width * height;
}

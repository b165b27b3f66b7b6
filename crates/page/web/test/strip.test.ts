import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, between, kept, moved, places, stills } from '../src/strip.ts';

test('a drag chooses the frames under it, in either direction and beyond the edges', () => {
  assert.equal(at(0, 400, 100), 0);
  assert.equal(at(399, 400, 100), 99);
  assert.equal(at(-20, 400, 100), 0);
  assert.equal(at(900, 400, 100), 99);
  assert.equal(at(10, 0, 100), 0);
  assert.equal(at(10, 400, 0), 0);
  assert.deepEqual(between(30, 12), { from: 12, to: 30 });
});

test('the ends of a range move and never change places', () => {
  const range = { from: 10, to: 20 };
  assert.deepEqual(moved(range, 'from', -3, 100), { from: 7, to: 20 });
  assert.deepEqual(moved(range, 'from', 50, 100), { from: 20, to: 20 });
  assert.deepEqual(moved(range, 'to', -50, 100), { from: 10, to: 10 });
  assert.deepEqual(moved(range, 'to', 500, 100), { from: 10, to: 99 });
});

test('frames that are gone by now are left out', () => {
  const frames = [4, 5, 6, 7].map((frame) => ({ frame }));
  assert.deepEqual(kept(frames, { from: 0, to: 2 }, 6), [{ frame: 6 }]);
});

test('a picture stands for the same stretch of time while the strip moves on', () => {
  const frames = (from: number) =>
    Array.from({ length: 40 }, (_, i) => ({ ts: new Date(from + i * 250).toISOString(), frame: i + from / 250 }));
  const shown = (from: number) => stills(frames(from), 3).map(({ first }) => first + from / 250);
  assert.deepEqual(stills(frames(0), 3).map(({ many }) => many), [12, 12, 12, 4]);
  assert.deepEqual(shown(0), [0, 12, 24, 36]);
  // Half a second later the same pictures are there, but for the first stretch, which is cut short.
  assert.deepEqual(shown(500).slice(1), [12, 24, 36]);
  assert.deepEqual(stills([], 3), []);
});

test('frames that it was not sure of are marked, as far as they are kept', () => {
  const frames = [10, 13, 16, 19].map((frame) => ({ frame }));
  assert.deepEqual(places(frames, [2, 10, 14, 15, 30]), [0, 2]);
  assert.deepEqual(places([], [2]), []);
});

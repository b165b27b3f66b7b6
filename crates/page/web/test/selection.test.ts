import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batches, extended, nothing, toggled } from '../src/selection.ts';

const all = [9, 8, 7, 6, 5];

test('shift takes the run from the last one chosen, in the order shown', () => {
  let chosen = toggled(nothing<number>(), 8);
  chosen = extended(chosen, 5, all);
  assert.deepEqual([...chosen.keys].sort(), [5, 6, 7, 8]);
  chosen = extended(chosen, 9, all);
  assert.deepEqual([...chosen.keys].sort(), [5, 6, 7, 8, 9]);
});

test('ctrl takes one in or out; shift without a first one is the same', () => {
  let chosen = extended(nothing<number>(), 7, all);
  chosen = toggled(chosen, 5);
  assert.deepEqual([...chosen.keys], [7, 5]);
  assert.deepEqual([...toggled(chosen, 7).keys], [5]);
});

test('a command takes a thousand at most', () => {
  const parts = batches(Array.from({ length: 2500 }, (_, i) => i));
  assert.deepEqual(parts.map((part) => part.length), [1000, 1000, 500]);
  assert.deepEqual(batches([]), []);
});

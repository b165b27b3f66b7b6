import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pages, part } from '../src/virtual.ts';

test('of twenty thousand tiles those in sight are there, and the list keeps its height', () => {
  const rows = Math.ceil(20_000 / 7);
  for (const top of [0, 1, 128, 50_000, 1e6]) {
    const seen = part(20_000, 7, 128, top, 900);
    assert.ok(seen.end - seen.first <= 7 * (Math.ceil(900 / 128) + 8), `${top}: ${seen.end - seen.first}`);
    assert.equal(seen.first % 7, 0);
    const shown = Math.ceil((seen.end - seen.first) / 7);
    assert.equal(seen.above + seen.below + shown * 128, rows * 128);
    if (top < rows * 128) {
      assert.ok(seen.above <= top, 'what is above the window is not missing in it');
    }
  }
});

test('an empty list and a list that fits', () => {
  assert.deepEqual(part(0, 5, 100, 0, 900), { first: 0, end: 0, above: 0, below: 0 });
  assert.deepEqual(part(6, 5, 100, 0, 900), { first: 0, end: 6, above: 0, below: 0 });
});

test('the pages that tiles lie on', () => {
  assert.deepEqual(pages(0, 1, 100), [0]);
  assert.deepEqual(pages(95, 205, 100), [0, 1, 2]);
  assert.deepEqual(pages(100, 200, 100), [1]);
  assert.deepEqual(pages(5, 5, 100), []);
});

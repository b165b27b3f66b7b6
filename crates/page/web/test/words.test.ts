import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('../src/words/', `file://${process.cwd()}/test/`);
const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Record<string, string>;
const english = read('en.json');
const gaps = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort().filter((gap, i, all) => gap !== all[i - 1]);

for (const name of readdirSync(folder)) {
  test(`${name} has every word, and each with the same gaps`, () => {
    const words = read(name);
    assert.deepEqual(Object.keys(words).sort(), Object.keys(english).sort());
    for (const [key, text] of Object.entries(words)) {
      assert.notEqual(text.trim(), '', key);
      assert.deepEqual(gaps(text), gaps(english[key] ?? ''), key);
    }
  });
}

test('every number has both of its forms', () => {
  for (const key of Object.keys(english)) {
    if (key.endsWith('.one')) {
      assert.ok(key.replace(/one$/, 'other') in english, key);
    }
  }
});

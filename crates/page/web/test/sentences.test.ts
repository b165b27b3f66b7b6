import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { find } from '../src/sentences.ts';

test('sentences of the daemon are known, with what they tell', () => {
  assert.deepEqual(find('only ok has samples: capture one burst of a second class'), {
    word: 'wait.second',
    values: { class: 'ok' },
  });
  assert.deepEqual(find('a round starts when no label has changed for 8 s more')?.values, { s: '8' });
  assert.equal(find('capture a second burst of a, b')?.word, 'missing.second');
  assert.equal(find('+0.0 points against the active head on held-out bursts')?.word, 'gate.better');
  assert.equal(find('-3.1 points against the active head on held-out bursts (at most 1.0 may be lost)')?.word, 'gate.worse');
  assert.equal(find('something that a later version says'), undefined);
});

test('none of the reasons of the gate has changed in the daemon', () => {
  const tests = readFileSync(`${process.cwd()}/../../control/src/gate_tests.rs`, 'utf8');
  const told = [...tests.matchAll(/"(?:promote|reject): ((?:[^"\\]|\\[^])*)"/g)];
  const reasons = told.map((match) => (match[1] ?? '').replace(/\\\n\s*/g, '')).filter((text) => !/^(NaN|its held-out)/.test(text));
  assert.ok(reasons.length >= 15, `${reasons.length} reasons found`);
  for (const reason of reasons) {
    assert.ok(find(reason), reason);
  }
});

test('none of the sentences that keep a round waiting has changed in the daemon', () => {
  const source = readFileSync(`${process.cwd()}/../../control/src/readiness_tests.rs`, 'utf8');
  const told = [...source.matchAll(/"((?:only|nothing|learning is|a round|a capture|the last|no label|two classes|\d+ of)[^"{}]*)"/g)];
  const sentences = told.map((match) => (match[1] ?? '').replace(/\\\n\s*/g, ''));
  assert.ok(sentences.length >= 6, `${sentences.length} sentences found`);
  for (const sentence of sentences) {
    assert.ok(find(sentence), sentence);
  }
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { read as addressOf, to } from '../src/address.ts';
import { read as answerOf } from '../src/answer.ts';
import { assign } from '../src/assign.ts';
import { mqtt, quote, shell } from '../src/commands.ts';
import { drag } from '../src/region.ts';
import { RUNTIME, parse } from '../src/settings.ts';
import { crc32, folders, names, pack } from '../src/zip.ts';

test('an address survives the way there and back', () => {
  const text = to(['samples', 'burst', 'a b/ü'], { class: 'ok & not' });
  const address = addressOf(text);
  assert.deepEqual(address.path, ['samples', 'burst', 'a b/ü']);
  assert.equal(address.query.get('class'), 'ok & not');
  assert.deepEqual(addressOf('#/%E0%A4').path, ['%E0%A4']);
  assert.deepEqual(addressOf('').path, []);
});

test('five answers are told apart', () => {
  const base = { frame: 1, ts: '', top: [{ class: 'a', score: 0.4 }, { class: 'b', score: 0.35 }], head: 2 };
  assert.equal(answerOf(null, 0.5).kind, 'waiting');
  assert.equal(answerOf({ ...base, head: 0, why: 'no_head' }, 0.5).kind, 'no_head');
  assert.equal(answerOf({ ...base, label: null, why: 'unknown', unknown: 1.2 }, 0.5).kind, 'none_of_these');
  assert.deepEqual(answerOf({ ...base, label: 'a', score: 0.4 }, 0.5), { kind: 'unsure', first: 'a', second: 'b', score: 0.4 });
  assert.deepEqual(answerOf({ ...base, label: 'none', score: 0.9 }, 0.5), { kind: 'class', class: 'none', score: 0.9 });
});

test('an action as a line for a shell and as a message', () => {
  assert.equal(quote('ok'), 'ok');
  assert.equal(quote(`it's; rm -rf`), `'it'\\''s; rm -rf'`);
  assert.equal(shell('capture', { action: 'start', class: 'no screw', seconds: 5 }), `graft capture start --class 'no screw' --seconds 5`);
  assert.equal(shell('mode', 'adapt'), 'graft start');
  assert.equal(shell('label', { action: 'relabel', samples: [1, 2], class: 'ok' }), 'graft label relabel 1,2 ok');
  assert.equal(shell('label', { action: 'delete', burst: 'b' }), undefined);
  assert.equal(shell('head', { action: 'pin', on: false }), 'graft head pin --off');
  assert.equal(shell('config', { action: 'set', values: { 'backbone.roi': [0.1, 0, 0.5, 1] } }), `graft config set 'backbone.roi=[0.1,0,0.5,1]'`);
  assert.equal(mqtt('cam-1', 'mode', 'adapt'), 'mosquitto_pub -h BROKER -q 1 -t graft/cam-1/cmd/mode -m adapt');
});

test('the region stays inside the frame and keeps a size', () => {
  assert.deepEqual(drag([0.2, 0.2, 0.5, 0.5], 'move', 9, -9), [0.5, 0, 0.5, 0.5]);
  const [left, top, width, height] = drag([0.2, 0.2, 0.5, 0.5], 'nw', 9, 9);
  assert.ok(Math.abs(left - 0.65) < 1e-9 && Math.abs(top - 0.65) < 1e-9);
  assert.ok(Math.abs(width - 0.05) < 1e-9 && Math.abs(height - 0.05) < 1e-9);
  const whole = drag([0.2, 0.2, 0.5, 0.5], 'se', 9, 9);
  assert.ok(Math.abs(whole[0] + whole[2] - 1) < 1e-9 && Math.abs(whole[1] + whole[3] - 1) < 1e-9);
});

test('a value that a setting does not take is not sent', () => {
  const vote = RUNTIME['predict.vote'];
  assert.ok(vote);
  assert.equal(parse(vote, '3'), 3);
  assert.equal(parse(vote, '3.5'), undefined);
  assert.equal(parse(vote, '0'), undefined);
  assert.equal(parse(vote, ''), undefined);
  assert.equal(parse({ kind: 'number', min: 0, max: 1 }, '0,5'), 0.5);
  assert.equal(parse({ kind: 'choice', of: ['a'] }, 'b'), undefined);
});

test('folders of a zip are what would become classes', async () => {
  // Stored without compression: two entries and the directory.
  const text = new TextEncoder();
  const entry = (name: string) => {
    const bytes = text.encode(name);
    const head = new DataView(new ArrayBuffer(46));
    head.setUint32(0, 0x02014b50, true);
    head.setUint16(28, bytes.length, true);
    return [new Uint8Array(head.buffer), bytes];
  };
  const directory = [...entry('set/ok/1.jpg'), ...entry('set/bad/2.PNG'), ...entry('set/labels.txt'), ...entry('3.jpeg')];
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint32(12, size, true);
  const found = folders(await names(new Blob([...directory, new Uint8Array(end.buffer)] as BlobPart[])));
  assert.deepEqual([...found], [['ok', 1], ['bad', 1], ['', 1]]);
  assert.deepEqual(await names(new Blob(['no zip at all'])), []);
});

test('a zip of pictures is one that others read', async () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
  const files = [
    { path: 'ok/ä.jpg', file: new Blob(['one']) },
    { path: 'bad/2.jpg', file: new Blob(['three']) },
  ];
  const zip = await pack(files);
  assert.deepEqual(await names(zip), ['ok/ä.jpg', 'bad/2.jpg']);
  const folder = mkdtempSync(join(tmpdir(), 'graft-zip-'));
  const path = join(folder, 'a.zip');
  writeFileSync(path, Buffer.from(await zip.arrayBuffer()));
  const script = 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(*[z.read(n).decode() for n in z.namelist()])';
  const read = spawnSync('python3', ['-c', script, path], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  assert.equal(read.stdout.trim(), 'one three', read.stderr);
});

test('more than nine classes have keys, and a chosen one is kept free of the others', () => {
  const names = Array.from({ length: 12 }, (_, i) => `c${i + 1}`);
  assert.deepEqual([...assign(names, {}).values()].slice(7), ['8', '9', 'q', 'w', 'e']);
  const keys = assign(names, { c5: '1' });
  assert.equal(keys.get('c5'), '1');
  assert.equal(keys.get('c1'), '2');
  assert.equal(new Set(keys.values()).size, names.length);
  assert.ok(![...assign(names, {}).values()].includes('u'), 'u undoes');
});

// The committed build of the page is what its sources give, byte by byte: a board's build needs no node.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { rootFolder } from './board.mjs';

const dist = join(rootFolder, 'crates/page/dist');
const MOST = 60_000;

function files(folder, base = folder) {
  return readdirSync(folder)
    .flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? files(path, base) : [relative(base, path)];
    })
    .sort();
}

test('a build from the lock file gives the committed files', { timeout: 110_000 }, (t) => {
  const out = mkdtempSync(join(tmpdir(), 'graft-dist-'));
  t.after(() => rmSync(out, { recursive: true, force: true }));
  const built = spawnSync('npx', ['--no-install', 'vite', 'build', '--outDir', out, '--emptyOutDir', '--logLevel', 'error'], {
    cwd: join(rootFolder, 'crates/page/web'),
    encoding: 'utf8',
  });
  assert.equal(built.status, 0, built.stderr);
  const advice = 'crates/page/dist is stale: run `make page` and commit what changed';
  assert.deepEqual(files(out), files(dist), advice);
  for (const name of files(out)) {
    assert.ok(readFileSync(join(out, name)).equals(readFileSync(join(dist, name))), `${name}: ${advice}`);
  }
});

test('the page is small', (t) => {
  const assets = files(dist).filter((name) => /\.(js|css|html)$/.test(name));
  const languages = readdirSync(join(rootFolder, 'crates/page/web/src/words')).map((name) => name.replace('.json', ''));
  const isLanguage = (name) => languages.some((code) => name.startsWith(`assets/${code}-`));
  const sizes = Object.fromEntries(assets.map((name) => [name, gzipSync(readFileSync(join(dist, name)), { level: 9 }).length]));
  t.diagnostic(JSON.stringify(sizes));
  // One language is loaded.
  const language = Math.max(...assets.filter(isLanguage).map((name) => sizes[name]));
  const total = assets.filter((name) => !isLanguage(name)).reduce((sum, name) => sum + sizes[name], language);
  t.diagnostic(`${total} bytes with the largest language`);
  assert.ok(total <= MOST, `${total} bytes packed, of ${MOST} at most`);
});

test('nothing in it needs what its content security policy forbids', () => {
  const html = readFileSync(join(dist, 'index.html'), 'utf8');
  assert.ok(!/<script(?![^>]*\bsrc=)/.test(html), 'no inline script');
  assert.ok(!/\sstyle=|<style/.test(html), 'no inline style');
  for (const name of files(dist).filter((file) => /\.(js|css)$/.test(file))) {
    const text = readFileSync(join(dist, name), 'utf8');
    assert.ok(!/https?:\/\/(?!www\.w3\.org)/.test(text.replace(/https?:\/\/[^"'`\s]*(?:preactjs|reactjs)[^"'`\s]*/g, '')), `${name} names another site`);
    assert.ok(!/url\(["']?data:/.test(text), `${name} has a data: address`);
  }
});

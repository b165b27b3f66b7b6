// Bundles the tests beside it, so that Node need not know TypeScript, and runs them.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

const out = 'test-built';
rmSync(out, { recursive: true, force: true });
const tests = readdirSync('test').filter((name) => name.endsWith('.test.ts'));
await build({
  entryPoints: tests.map((name) => `test/${name}`),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node18',
  logLevel: 'error',
  // What only a browser has and the tests do not use.
  define: { 'import.meta.glob': 'no_files' },
  banner: { js: 'const no_files = () => ({});' },
});
const files = tests.map((name) => `${out}/${name.replace(/ts$/, 'mjs')}`);
const { status } = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' });
rmSync(out, { recursive: true, force: true });
process.exit(status ?? 1);

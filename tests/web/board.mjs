// The real daemon in a folder of its own, with a camera that shows what a test says.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = resolve(here, '../..');
export const graft = process.env.GRAFT ?? resolve(root, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/graft');

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until `check` gives something, and gives that. */
export async function until(what, check, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  let last;
  while (Date.now() < end) {
    try {
      const found = await check();
      if (found) {
        return found;
      }
    } catch (error) {
      last = error;
    }
    await sleep(100);
  }
  throw new Error(`not within ${seconds} s: ${what}${last ? ` (${last})` : ''}`);
}

export class Board {
  constructor(folder, port, settings) {
    this.folder = folder;
    this.url = `http://127.0.0.1:${port}/`;
    this.thing = join(folder, 'thing');
    const command = `'${process.execPath}' '${join(here, 'camera.mjs')}' '${this.thing}'`;
    this.settings = {
      'camera.source': 'pipe',
      'camera.command': command,
      'camera.format': 'rgb24',
      'camera.width': 320,
      'camera.height': 240,
      'mqtt.enabled': false,
      'device.id': 'bench',
      'store.dir': join(folder, 'state'),
      'socket.path': join(folder, 'graft.sock'),
      'web.listen': `127.0.0.1:${port}`,
      ...settings,
    };
  }

  arguments(...words) {
    return [...words, ...Object.entries(this.settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])];
  }

  async start() {
    this.child = spawn(graft, this.arguments('run'), { stdio: ['ignore', 'ignore', 'pipe'] });
    this.log = '';
    this.child.stderr.on('data', (piece) => {
      this.log += piece;
    });
    this.exited = once(this.child, 'exit');
    await until(`the daemon answers; it said: ${this.log}`, async () => {
      if (this.child.exitCode !== null) {
        throw new Error(`the daemon ended:\n${this.log}`);
      }
      return (await fetch(`${this.url}api/v1/session`)).status < 500;
    });
    return this;
  }

  async stop() {
    this.child.kill('SIGTERM');
    await this.exited;
  }

  /** Puts a thing before the camera; `gone` pulls its plug. */
  show(thing) {
    writeFileSync(this.thing, thing);
  }

  async get(path) {
    const response = await fetch(`${this.url}api/v1/${path}`);
    return response.json();
  }

  async send(op, body) {
    const response = await fetch(`${this.url}api/v1/cmd/${op}`, {
      method: 'POST',
      headers: { 'x-graft': '1' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return response.json();
  }

  /** The command line, as its user sees it. */
  run(...words) {
    const done = spawnSync(graft, this.arguments(...words), { encoding: 'utf8' });
    return { status: done.status, out: done.stdout, err: done.stderr };
  }
}

/** A running board for the length of a test. */
export async function board(t, settings = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'graft-page-'));
  writeFileSync(join(folder, 'thing'), 'nothing');
  const made = new Board(folder, await freePort(), settings);
  await made.start();
  t.after(async () => {
    await made.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return made;
}

export const rootFolder = root;
export const readRoot = (path) => readFileSync(join(root, path));

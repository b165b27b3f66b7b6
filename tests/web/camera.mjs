// A camera for the tests: writes raw pictures (RGB, 320 x 240) of the thing that a file names. `gone`: there is no camera.
//     node camera.mjs FILE [frames a second]
import { readFileSync } from 'node:fs';

export const WIDTH = 320;
export const HEIGHT = 240;

const [file, rate = '10'] = process.argv.slice(2);

/** Numbers that look random and are the same in each run. */
let seed = 7;
function random() {
  seed = (seed * 1664525 + 1013904223) >>> 0;
  return seed / 2 ** 32;
}

const things = {
  nothing: () => null,
  disc: (x, y) => (x * x + y * y < 1 ? [205, 50, 45] : null),
  stripes: (x, y) => (Math.abs(x) < 1 && Math.abs(y) < 1 ? (Math.floor((x + 1) * 4) % 2 ? [30, 60, 170] : [240, 240, 245]) : null),
  cross: (x, y) => (Math.max(Math.abs(x), Math.abs(y)) < 1 && Math.min(Math.abs(x), Math.abs(y)) < 0.32 ? [40, 160, 70] : null),
};

/** One picture: a table, the thing somewhere in its middle, and the noise of a camera. */
function draw(name, tick) {
  const picture = Buffer.alloc(WIDTH * HEIGHT * 3);
  const thing = things[name] ?? things.nothing;
  // The hand that holds it moves.
  const left = WIDTH / 2 + 42 * Math.sin(tick / 9);
  const top = HEIGHT / 2 + 24 * Math.cos(tick / 7);
  const size = 58 + 9 * Math.sin(tick / 13);
  let at = 0;
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const grain = 8 * Math.sin(x / 6 + 3 * Math.sin(y / 31));
      const colour = thing((x - left) / size, (y - top) / size) ?? [176 + grain, 158 + grain, 132 + grain];
      const noise = 6 * random() - 3;
      for (const part of colour) {
        picture[at] = Math.max(0, Math.min(255, part + noise));
        at += 1;
      }
    }
  }
  return picture;
}

let tick = 0;
function step() {
  let name = 'nothing';
  try {
    name = readFileSync(file, 'utf8').trim();
  } catch {
    // Not written yet.
  }
  if (name === 'gone') {
    process.exit(1);
  }
  tick += 1;
  process.stdout.write(draw(name, tick));
}

process.stdout.on('error', () => process.exit(0));
step();
setInterval(step, 1000 / Number(rate));

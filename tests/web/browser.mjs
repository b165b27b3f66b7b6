// A browser, and what a person does with it.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { rootFolder, until } from './board.mjs';

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export const DESKTOP = { viewport: { width: 1280, height: 860 } };
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

/** A page of a browser of its own; what the page complains about fails the test. */
export async function open(t, board, options = {}) {
  const executablePath = places.find((path) => path && existsSync(path));
  // Root has no sandbox, and the tests open only their own page.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  const context = await browser.newContext({ ...DESKTOP, locale: 'en-GB', colorScheme: 'light', ...options });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // Refused requests are answers here, and are shown on the page.
    if (message.type() === 'error' && !/Failed to load resource|ERR_/.test(message.text())) {
      complaints.push(message.text());
    }
  });
  t.after(async () => {
    await browser.close();
    assert.deepEqual(complaints, [], 'the page complained');
  });
  await page.goto(board.url);
  return page;
}

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
export const holdButton = (page, name) => page.locator('button.hold', { hasText: new RegExp(`^${escape(name)}`) }).first();

/** Holds a class's button with the mouse. */
export async function hold(page, name, ms = 2500) {
  const button = holdButton(page, name);
  await button.scrollIntoViewIfNeeded();
  const box = await button.boundingBox();
  await page.mouse.move(box.x + box.width / 3, box.y + box.height / 2);
  await page.mouse.down();
  await page.waitForTimeout(ms);
  await page.mouse.up();
}

/** Nothing serious that axe finds on what is shown now. */
export async function accessible(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map((node) => node.html) }));
  });
  const serious = found.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(serious, [], `${what}: ${JSON.stringify(found)}`);
}

/** What the documents show. */
const DOCUMENTS = ['camera', 'camera-lost', 'confusion', 'heads', 'phone'];

/** Keeps a picture of a state: GRAFT_SHOTS=1, of those that the documents show; GRAFT_SHOTS_DIR=DIR, of all. */
export async function shot(page, name, top = 0) {
  const everything = process.env.GRAFT_SHOTS_DIR;
  if (everything || (process.env.GRAFT_SHOTS === '1' && DOCUMENTS.includes(name))) {
    const folder = everything ?? join(rootFolder, 'docs/img');
    mkdirSync(folder, { recursive: true });
    await page.evaluate((at) => window.scrollTo(0, at ?? 0), top);
    // Notes go by themselves, and pictures come.
    await page.waitForTimeout(6500);
    await page.screenshot({ path: join(folder, `${name}.png`), scale: 'css' });
  }
}

export const said = (page) => page.locator('.answer .said').first().innerText();

/** Waits for the large answer to say this. */
export async function answers(page, name, seconds = 20) {
  await until(`the page says ${name}`, async () => (await said(page)).trim() === name, seconds).catch(async (error) => {
    throw new Error(`${error.message}; it says ${await said(page)}`);
  });
}

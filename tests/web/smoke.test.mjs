// The short form: from the first visit to a right answer, by the four steps alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { board } from './board.mjs';
import { accessible, answers, hold, open, shot } from './browser.mjs';

test('a first visit leads to a right answer within a minute', { timeout: 110_000 }, async (t) => {
  const bench = await board(t);
  bench.show('disc');
  const page = await open(t, bench);
  const start = Date.now();
  await page.waitForURL(/#\/start/);
  await page.locator('.stage[data-live=true]').waitFor();
  await accessible(page, 'look');
  const painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  t.diagnostic(`first paint after ${painted?.toFixed(0)} ms`);
  await shot(page, 'start-look');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByLabel('Class 1').fill('disc');
  await page.getByLabel('Class 2').fill('stripes');
  await page.getByRole('button', { name: 'Next' }).click();

  await hold(page, 'disc', 2000);
  await page.getByText(/Only disc has samples/).waitFor();
  bench.show('stripes');
  await page.waitForTimeout(500);
  await hold(page, 'stripes', 2000);
  await page.getByText(/A round starts/).first().waitFor();
  // It learns by itself, and the page goes on to the answer.
  await page.waitForURL(/#\/start\/answer/, { timeout: 60_000 });
  await answers(page, 'stripes');
  bench.show('disc');
  await answers(page, 'disc');
  const seconds = (Date.now() - start) / 1000;
  t.diagnostic(`from the first visit to right answers: ${seconds.toFixed(1)} s`);
  await accessible(page, 'answer');
  await shot(page, 'start-answer');
  const status = await bench.get('status');
  assert.equal(status.wanted, 'adapt', 'the wizard switched learning on');
});

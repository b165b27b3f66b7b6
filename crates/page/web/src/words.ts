// The words of the page come from one catalogue a language, words/*.json, and one of them is loaded. A word that a language
// lacks is shown in English. A new file in that folder is a new language.
import { signal } from '@preact/signals';

export type Word = keyof typeof import('./words/en.json');
export type Values = Record<string, string | number>;
type Catalogue = Record<string, string>;

const files = import.meta.glob<Catalogue>('./words/*.json', { import: 'default' });
const code = (file: string) => file.replace(/^.*\/|\.json$/g, '');

/** Codes of the languages there are, such as `en`, `de`. */
export const languages: string[] = Object.keys(files).map(code).sort();

export const language = signal('en');
const catalogue = signal<Catalogue>({});
const english = signal<Catalogue>({});
let asked = false;

async function load(wanted: string): Promise<Catalogue> {
  return (await files[`./words/${wanted}.json`]?.()) ?? {};
}

export async function speak(wanted: string): Promise<void> {
  catalogue.value = await load(wanted);
  language.value = wanted;
  document.documentElement.lang = wanted;
}

/** A word that this language lacks. */
function missing(word: string): string {
  if (!asked) {
    asked = true;
    void load('en').then((words) => {
      english.value = words;
    });
  }
  return english.value[word] ?? '…';
}

/** The language that the browser asks for, if it is there. */
export function preferred(): string {
  const kept = localStorage.getItem('language');
  const wanted = [kept ?? '', ...navigator.languages].map((tag) => tag.split('-')[0] ?? '');
  return wanted.find((tag) => languages.includes(tag)) ?? 'en';
}

/** The text of a word. `{name}` in it is replaced; with `n`, `word.one` or `word.other` is chosen by the number. */
export function t(word: Word, values: Values = {}): string {
  return fill(catalogue.value[word] ?? missing(word), values);
}

type Counted<W> = W extends `${infer Stem}.other` ? Stem : never;

/** The text for `n` things, in the right number. */
export function many(word: Counted<Word>, n: number, values: Values = {}): string {
  const rule = new Intl.PluralRules(language.value).select(n);
  const key = `${word}.${rule}` as Word;
  const chosen = key in catalogue.value ? key : (`${word}.other` as Word);
  return t(chosen, { n: number(n), ...values });
}

/** The words there may be none for, such as those of error codes that a later daemon has. */
export function maybe(word: string, values: Values = {}): string | undefined {
  return word in catalogue.value || word in english.value ? t(word as Word, values) : undefined;
}

export function fill(text: string, values: Values): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString(language.value, { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

export function percent(value: number): string {
  return `${number(value * 100)} %`;
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let step = 0;
  let left = value;
  while (left >= 1000 && step < units.length - 1) {
    left /= 1000;
    step += 1;
  }
  return `${number(left, left < 10 && step > 0 ? 1 : 0)} ${units[step]}`;
}

export function clock(time: string): string {
  return new Date(time).toLocaleTimeString(language.value, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

export function day(time: string): string {
  return new Date(time).toLocaleString(language.value, { dateStyle: 'medium', timeStyle: 'short' });
}

// Sentences that the daemon says in English, and the page's own words for them. A sentence that is not known is shown as
// it came.
import { t, type Values, type Word } from './words.ts';

type Row = [RegExp, Word, ...string[]];

const known: Row[] = [
  [/^round (?<job>.+) is running$/, 'wait.running'],
  [/^nothing is labelled: /, 'wait.labels'],
  [/^only (?<class>.+) has samples: /, 'wait.second'],
  [
    /^two classes with (?<bursts>\d+) bursts and (?<samples>\d+) samples each are needed, (?<class>.+) has (?<from>\d+) and (?<has>\d+): /,
    'wait.more',
  ],
  [/^learning is off: /, 'wait.off'],
  [/^learning is paused: /, 'wait.paused'],
  [/^the board is too hot: /, 'wait.cooling'],
  [/^the disk or store\.quota is full: /, 'wait.space'],
  [/^the flash has taken budget\.write_per_day: /, 'wait.writes'],
  [/^a capture is running: /, 'wait.capture'],
  [/^no label has changed since the last round: /, 'wait.new'],
  [/^the last round gave no head /, 'wait.again'],
  [/^(?<changed>\d+) of (?<needed>\d+) new samples are there /, 'wait.samples'],
  [/^a round starts when no label has changed for (?<s>\d+) s more$/, 'wait.quiet'],
  [/^capture a second burst of (?<classes>.+)$/, 'missing.second'],
  [
    /^capture more bursts: so far the accuracy is only known to lie between (?<low>\d+) % and (?<high>\d+) %$/,
    'missing.wide',
  ],
  [/^first head, which could not be judged: capture a second burst of (?<classes>.*)$/, 'gate.unjudged'],
  [
    /^first head: (?<value>[\d.]+) % balanced accuracy on held-out bursts is not above chance \((?<chance>[\d.]+) %\), from too few bursts/,
    'gate.few',
  ],
  [
    /^first head: (?<value>[\d.]+) % balanced accuracy on held-out bursts against chance \((?<chance>[\d.]+) %\)(; not judged, for want of a second burst: (?<classes>.+))?$/,
    'gate.first',
  ],
  [
    /^first head: (?<value>[\d.]+) % balanced accuracy on held-out bursts is no better than chance \((?<chance>[\d.]+) %\): /,
    'gate.chance',
  ],
  [/^the new samples of (?<class>.+) look like (?<said>.+) to every head that did not see them: /, 'gate.contradicted'],
  [/^the new samples of (?<one>.+) look like (?<other>.+), and those of \k<other> like \k<one>: /, 'gate.swapped'],
  [/^the active head is right on all new samples of (?<class>.+), and the new head is no better: /, 'gate.known'],
  [
    /^(?<part>\d+) % of what the active head learned from was deleted, and the new head is not clearly better \((?<points>[+-][\d.]+) points\): /,
    'gate.gone',
  ],
  [/^the active head is pinned$/, 'gate.pinned'],
  [
    /^(?<points>[+-][\d.]+) points against the active head on held-out bursts \(at most (?<most>[\d.]+) may be lost\)$/,
    'gate.worse',
  ],
  [
    /^class (?<class>.+) loses (?<points>[\d.]+) points on (?<bursts>\d+) held-out bursts \(at most (?<most>[\d.]+) may be lost\)$/,
    'gate.class',
  ],
  [/^(?<points>[+-][\d.]+) points against the active head on held-out bursts$/, 'gate.better'],
];

/** The page's word for a sentence of the daemon and what it tells; none for one that is not known. */
export function find(sentence: string): { word: Word; values: Values } | undefined {
  for (const [pattern, word] of known) {
    const match = pattern.exec(sentence);
    if (match) {
      const values = Object.fromEntries(Object.entries(match.groups ?? {}).map(([name, text]) => [name, text ?? '']));
      return { word, values };
    }
  }
  return undefined;
}

export function say(sentence: string): string {
  const found = find(sentence);
  return found ? t(found.word, found.values) : sentence;
}

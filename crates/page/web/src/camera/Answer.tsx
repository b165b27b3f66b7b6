import { agreed, classes, lost, prediction } from '../board.ts';
import { read } from '../answer.ts';
import { settings } from '../settings.ts';
import { keys, tint } from '../keys.ts';
import { Bar } from '../parts/Meter.tsx';
import { number, percent, t } from '../words.ts';

/** What a screen reader is told: the answer as it changes, without its figures. */
const WORDS = {
  unsure: 'answer.unsure',
  none_of_these: 'answer.none',
  no_head: 'answer.nothing',
  waiting: 'answer.waiting',
} as const;

/** The answer, large, with what else it might be. */
export function Answer({ short }: { short?: boolean }) {
  const newest = prediction.value;
  const answer = read(lost.value ? null : newest, Number(settings.value['predict.threshold'] ?? 0.5));
  return (
    <section class="card answer" data-kind={answer.kind} aria-label={t('answer')}>
      <p class="unseen" role="status">
        {answer.kind === 'class' ? answer.class : t(WORDS[answer.kind])}
      </p>
      <div>
        {answer.kind === 'class' && (
          <>
            <p class={`said ${tint(answer.class)}`}>
              <span class="swatch" aria-hidden="true" />
              {answer.class}
            </p>
            <p class="quiet">{t('answer.sure', { score: percent(answer.score) })}</p>
          </>
        )}
        {answer.kind === 'unsure' && (
          <>
            <p class="said faint">{t('answer.unsure')}</p>
            <p class="quiet">
              {answer.second === null
                ? t('answer.perhaps', { first: answer.first, score: percent(answer.score) })
                : t('answer.between', { first: answer.first, second: answer.second })}
            </p>
          </>
        )}
        {answer.kind === 'none_of_these' && (
          <>
            <p class="said faint">{t('answer.none')}</p>
            <p class="quiet">{t('answer.none.todo')}</p>
          </>
        )}
        {answer.kind === 'no_head' && (
          <>
            <p class="said faint">{t('answer.nothing')}</p>
            <p class="quiet">{t('answer.nothing.todo')}</p>
          </>
        )}
        {answer.kind === 'waiting' && <p class="said faint">{t(lost.value ? 'answer.lost' : 'answer.waiting')}</p>}
      </div>
      {!short && newest && newest.head > 0 && !lost.value && <Scores />}
    </section>
  );
}

function Scores() {
  const newest = prediction.value;
  const scores = new Map(newest?.top.map((one) => [one.class, one.score]));
  const names = classes.value.length > 0 ? classes.value : [...scores.keys()];
  const unknown = newest?.unknown;
  return (
    <div class="stack tight">
      <ul class="scores">
        {names.map((name) => {
          const score = scores.get(name);
          return (
            <li key={name} class={tint(name)}>
              <span class="name">
                {keys.value.get(name) && <kbd>{keys.value.get(name)}</kbd>}
                {name}
              </span>
              <Bar part={score ?? 0} />
              <span class="figure">{score === undefined ? '–' : percent(score)}</span>
            </li>
          );
        })}
      </ul>
      {unknown !== undefined && (
        <div class="unknown">
          <span class="name">{t('answer.unknown')}</span>
          <Bar part={unknown / 2} class="marked" />
          <span class="figure">{number(unknown, 2)}</span>
        </div>
      )}
      <p class="small quiet">
        {unknown !== undefined && t('answer.unknown.how')}{' '}
        {agreed.value !== null && t('answer.agreed', { label: agreed.value })}
      </p>
    </div>
  );
}

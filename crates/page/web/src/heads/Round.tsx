import { to } from '../address.ts';
import { round, state } from '../board.ts';
import { Bar } from '../parts/Meter.tsx';
import { say } from '../sentences.ts';
import type { Advice, HeadState, Interval, Job, Metrics } from '../shapes.ts';
import { many, maybe, number, percent, t } from '../words.ts';
import { heads } from './list.ts';

/** What the latest round brought: before and after, the verdict, and what it rests on. */
export function Latest() {
  const job = round.value;
  const head = state.value?.head;
  if (!job || !head) {
    return job?.error ? <Failed job={job} /> : null;
  }
  return <Round job={job} />;
}

export function Round({ job, whole }: { job: Job; whole?: boolean }) {
  if (job.error && !job.metrics) {
    return <Failed job={job} />;
  }
  const metrics = job.metrics as Metrics | undefined;
  const promoted = job.result?.promoted === true;
  const version = Number(job.result?.version ?? 0);
  const reason = String(job.result?.reason ?? job.error?.message ?? '');
  const before = heads.value.filter((row) => row.promoted !== null && row.version < version).sort(newest)[0];
  const serving = state.value?.head;
  return (
    <section class="card round stack" aria-labelledby="round">
      <div class="row between">
        <h2 id="round">{t('round')}</h2>
        <span class={promoted ? 'badge good' : 'badge'}>{t(promoted ? 'round.promoted' : 'round.kept')}</span>
      </div>
      {metrics && (
        <dl class="versus">
          <div>
            <dt>{t('round.before')}</dt>
            <dd>
              {promoted
                ? before
                  ? told(before.accuracy)
                  : t('round.nothing')
                : serving
                  ? told(serving.accuracy ?? null)
                  : t('round.nothing')}
            </dd>
          </div>
          <div>
            <dt>{t(promoted ? 'round.after' : 'round.candidate')}</dt>
            <dd>{told(metrics.accuracy)}</dd>
          </div>
        </dl>
      )}
      {metrics && <Evidence metrics={metrics} />}
      {reason !== '' && <p>{say(reason)}</p>}
      {!whole && metrics?.advice && <Suggestion advice={metrics.advice} />}
      {!whole && (
        <a class="small" href={to(['heads'])}>
          {t('round.more')}
        </a>
      )}
    </section>
  );
}

const newest = (a: { version: number }, b: { version: number }) => b.version - a.version;

/** A number is never shown without its interval. */
function told(accuracy: Interval | null) {
  if (accuracy === null) {
    return <span class="quiet">{t('accuracy.none')}</span>;
  }
  return (
    <>
      <strong>{percent(accuracy.value)}</strong>
      <span class="small quiet">{t('accuracy.interval', { low: percent(accuracy.low), high: percent(accuracy.high) })}</span>
    </>
  );
}

/** What the figures rest on, and what is missing, in words. */
export function Evidence({ metrics }: { metrics: Pick<Metrics, 'bursts' | 'samples' | 'missing'> & { classes: unknown } }) {
  const classes = Array.isArray(metrics.classes)
    ? metrics.classes.length
    : Object.keys(metrics.classes as Record<string, unknown>).length;
  return (
    <p class="small">
      {t('evidence', {
        samples: many('tally.samples', metrics.samples),
        bursts: many('tally.bursts', metrics.bursts),
        classes: many('tally.classes', classes),
      })}{' '}
      {metrics.missing ? <strong>{say(metrics.missing)}</strong> : null}
    </p>
  );
}

export function Suggestion({ advice }: { advice: Advice }) {
  const classes = (advice.classes ?? []).join(', ');
  const target = percent(advice.target);
  return (
    <div class="advice stack tight">
      <p>{maybe(`advice.${advice.next}${classes ? '.of' : ''}`, { classes, target }) ?? advice.next}</p>
      {advice.doubled && (
        <p class="small quiet">
          {t('advice.doubled', {
            value: percent(advice.doubled.value),
            low: percent(advice.doubled.low),
            high: percent(advice.doubled.high),
          })}
        </p>
      )}
      {advice.suspects > 0 && (
        <p>
          <a href={to(['samples', 'suspects'])}>{many('advice.suspects', advice.suspects)}</a>
        </p>
      )}
    </div>
  );
}

function Failed({ job }: { job: Job }) {
  const code = job.error?.code ?? '';
  return (
    <section class="card round stack" aria-labelledby="round">
      <h2 id="round">{t('round')}</h2>
      <p>{job.status === 'canceled' ? t('round.canceled') : (maybe(`fault.${code}`) ?? t('round.failed'))}</p>
      {job.error && <p class="small">{say(job.error.message)}</p>}
      {maybe(`remedy.${code}`) && <p class="small quiet">{maybe(`remedy.${code}`)}</p>}
    </section>
  );
}

/** "Is it good enough?", in one sentence with its evidence. */
export function Verdict({ head, advice }: { head: HeadState; advice: Advice | undefined }) {
  const accuracy = head.accuracy ?? null;
  const target = advice?.target ?? 0.95;
  const word = accuracy === null ? 'unknown' : accuracy.low >= target ? 'yes' : accuracy.value >= target ? 'likely' : 'no';
  return (
    <div class="stack tight">
      <p class="lead">
        {t(`good.${word}`, { value: accuracy ? percent(accuracy.value) : '', target: percent(target) })}
      </p>
      {accuracy && (
        <p class="small quiet">
          {t('accuracy.interval', { low: percent(accuracy.low), high: percent(accuracy.high) })}
        </p>
      )}
      <Evidence metrics={{ ...head, missing: head.missing ?? null }} />
    </div>
  );
}

/** How many of each class were right, of those that the head had not seen. */
export function Recalls({ metrics, classes }: { metrics: Metrics; classes: string[] }) {
  return (
    <table class="recalls">
      <caption>{t('recalls')}</caption>
      <thead>
        <tr>
          <th scope="col">{t('class')}</th>
          <th scope="col">{t('recalls.right')}</th>
          <th scope="col" class="figure">
            {t('recalls.of')}
          </th>
        </tr>
      </thead>
      <tbody>
        {classes.map((name) => {
          const one = metrics.classes[name];
          return (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>
                {one?.recall === null || one === undefined ? (
                  t('accuracy.none')
                ) : (
                  <span class="with-bar">
                    {number(one.recall * 100)} %<Bar part={one.recall} />
                  </span>
                )}
              </td>
              <td class="figure">
                {one ? `${many('tally.samples', one.samples)}, ${many('tally.bursts', one.bursts)}` : ''}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

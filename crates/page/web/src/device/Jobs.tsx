import { useEffect, useState } from 'preact/hooks';
import { act, note } from '../actions.ts';
import { get } from '../api.ts';
import { ended, jobs } from '../board.ts';
import { Act } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import { Bar } from '../parts/Meter.tsx';
import { say } from '../sentences.ts';
import type { Job } from '../shapes.ts';
import { clock, many, maybe, number, t } from '../words.ts';
import { RUNTIME } from '../settings.ts';

/** Rounds, imports, exports and fine-tuning on a host, with how far they are. */
export function Jobs() {
  return (
    <section class="stack" aria-label={t('device.jobs')}>
      <FineTune />
      <section class="card" aria-labelledby="jobs">
        <h2 id="jobs">{t('device.jobs')}</h2>
        {jobs.value.length === 0 && <p class="quiet">{t('jobs.none')}</p>}
        <ul class="rows">
          {jobs.value.map((job) => (
            <Row key={job.id} job={job} />
          ))}
        </ul>
      </section>
    </section>
  );
}

export function Row({ job }: { job: Job }) {
  const { progress } = job;
  const running = !ended(job);
  const part = progress && progress.total > 0 ? progress.done / progress.total : null;
  const facts = ['assumed', 'path', 'reason', 'samples', 'skipped', 'bursts']
    .filter((key) => ['string', 'number'].includes(typeof job.result?.[key]) && job.result?.[key] !== '')
    .map((key) => {
      const value = job.result?.[key];
      if (typeof value === 'string') {
        return say(value);
      }
      const n = Number(value);
      return key === 'samples' ? many('tally.samples', n) : key === 'bursts' ? many('tally.bursts', n) : many('job.skipped', n);
    })
    .join(' · ');
  return (
    <li>
      <div class="grow stack tight">
        <p>
          <strong>{maybe(`job.${job.op}`) ?? job.op}</strong>{' '}
          <span class={job.status === 'successful' ? 'badge good' : 'badge'}>{t(`job.status.${job.status}`)}</span>
        </p>
        <p class="small quiet">
          {t('job.id', { id: job.id })}
          {job.ts && ` · ${clock(job.ts)}`}
          {job.step && running && ` · ${job.step}`}
          {part !== null && running && ` · ${number((progress?.done ?? 0))} / ${number(progress?.total ?? 0)}`}
          {progress?.eta_s !== undefined && running && ` · ${many('job.eta', Math.round(progress.eta_s))}`}
        </p>
        {part !== null && running && <Bar part={part} />}
        {facts !== '' && !running && <p class="small">{facts}</p>}
        {job.error && (
          <p class="small">
            {job.error.message}
            {maybe(`remedy.${job.error.code}`) && ` — ${maybe(`remedy.${job.error.code}`)}`}
          </p>
        )}
      </div>
      {running && (
        <Act class="small" onClick={() => void act('job', { action: 'cancel', job: job.id })}>
          {t('job.cancel')}
        </Act>
      )}
    </li>
  );
}

interface Offload {
  host_keys: number;
  job: string | null;
  offered: unknown;
}

function FineTune() {
  const [offload, setOffload] = useState<Offload | null>(null);
  const [recipe, setRecipe] = useState('auto');
  const running = jobs.value.find((job) => job.op === 'offload' && !ended(job));
  useEffect(() => {
    get<Offload>('offload').then(setOffload, () => undefined);
  }, [running?.status]);
  const recipes = RUNTIME['offload.recipe'];
  const body = { action: 'start', ...(recipe === 'auto' ? {} : { recipe }) };
  return (
    <section class="card stack" aria-labelledby="fine">
      <h2 id="fine">{t('fine')}</h2>
      <p class="quiet">{t('fine.how')}</p>
      <div class="row wrap">
        <label class="field inline">
          {t('fine.recipe')}
          <select value={recipe} onChange={(event) => setRecipe(event.currentTarget.value)}>
            {recipes?.kind === 'choice' && recipes.of.map((one) => <option key={one}>{one}</option>)}
          </select>
        </label>
        <Act
          why={offload?.host_keys === 0 && t('fine.keys')}
          onClick={async () => {
            if (await act('offload', body)) {
              note(t('fine.started'));
            }
          }}
        >
          {t('fine.start')}
        </Act>
        <Act onClick={() => void act('backbone', 'rollback')}>{t('fine.back')}</Act>
      </div>
      {offload?.host_keys === 0 && <p class="small quiet">{t('fine.keys')}</p>}
      {running && (
        <ul class="rows">
          <Row job={running} />
        </ul>
      )}
      <Commands op="offload" body={body} />
    </section>
  );
}

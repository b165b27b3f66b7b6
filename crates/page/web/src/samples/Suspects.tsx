import { useEffect, useState } from 'preact/hooks';
import { bulk } from '../actions.ts';
import { command, picture } from '../api.ts';
import { admin, state } from '../board.ts';
import { tint } from '../keys.ts';
import { Act } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import type { Sample } from '../shapes.ts';
import { many, t } from '../words.ts';
import { Row, useNear } from './Zoom.tsx';

/** Labels that contradict all other bursts: each beside the pictures that it is most like. */
export function Suspects() {
  const [list, setList] = useState<Sample[] | null>(null);
  const [kept, setKept] = useState<ReadonlySet<string>>(new Set());
  const rev = state.value?.dataset.rev;
  const round = state.value?.head?.version;
  useEffect(() => {
    // It changes nothing, but is a command, and a viewer may send none.
    if (!admin.value) {
      return;
    }
    command('dataset', { action: 'suspects', limit: 200 }).then(
      (reply) => setList((reply.data?.suspects as Sample[] | undefined) ?? []),
      () => setList([]),
    );
  }, [rev, round]);

  // A burst that is wrong is wrong as a whole: one question for it.
  const bursts = new Map<string, Sample[]>();
  for (const sample of list ?? []) {
    const key = `${sample.burst} ${sample.class} ${sample.said}`;
    if (!kept.has(key)) {
      bursts.set(key, [...(bursts.get(key) ?? []), sample]);
    }
  }
  if (!admin.value) {
    return <p class="quiet">{t('suspects.viewer')}</p>;
  }
  if (list === null) {
    return <p class="quiet">{t('loading')}</p>;
  }
  return (
    <section class="stack" aria-label={t('samples.suspects')}>
      <p class="quiet">{t(bursts.size > 0 ? 'suspects.how' : 'suspects.none')}</p>
      {[...bursts].slice(0, 30).map(([key, samples]) => (
        <Suspect key={key} samples={samples} onKeep={() => setKept(new Set([...kept, key]))} />
      ))}
      <Commands op="dataset" body={{ action: 'suspects' }} />
    </section>
  );
}

function Suspect({ samples, onKeep }: { samples: Sample[]; onKeep: () => void }) {
  const sample = samples[0] as Sample;
  const said = sample.said ?? '';
  const near = useNear(sample.id);
  const ids = samples.map((one) => one.id);
  return (
    <article class="card suspect" aria-label={t('sample.alt', { id: sample.id, class: sample.class })}>
      <div class="row wrap aligned">
        <figure class="big">
          <img src={picture(sample.id)} alt={t('sample.alt', { id: sample.id, class: sample.class })} />
          {samples.length > 1 && <figcaption class="small quiet">{many('suspects.burst', samples.length)}</figcaption>}
        </figure>
        <div class="grow stack">
          <p>
            {t('suspects.labelled')}{' '}
            <strong class={tint(sample.class)}>
              <span class="swatch" aria-hidden="true" />
              {sample.class}
            </strong>
            , {t('suspects.said')}{' '}
            <strong class={tint(said)}>
              <span class="swatch" aria-hidden="true" />
              {said}
            </strong>
          </p>
          {near && (
            <div class="columns">
              <Row title={t('near.own', { class: sample.class })} samples={near.own} />
              <Row title={t('near.said', { class: said })} samples={near.said?.samples ?? []} />
            </div>
          )}
          <div class="row wrap">
            <Act class="main" onClick={() => void bulk({ samples: ids }, said)}>
              {t('suspects.relabel', { class: said })}
            </Act>
            <Act looks onClick={onKeep}>
              {t('suspects.keep', { class: sample.class })}
            </Act>
            <Act onClick={() => void bulk({ samples: ids }, null)}>{t('delete')}</Act>
          </div>
        </div>
      </div>
    </article>
  );
}

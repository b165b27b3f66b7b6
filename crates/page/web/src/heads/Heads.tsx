import { useEffect, useState } from 'preact/hooks';
import { act, note } from '../actions.ts';
import { base, get } from '../api.ts';
import { counts, jobs, round, state } from '../board.ts';
import { to } from '../address.ts';
import { Act } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import { Icon } from '../parts/Icon.tsx';
import { say } from '../sentences.ts';
import type { HeadDetail, HeadRow } from '../shapes.ts';
import { day, percent, t } from '../words.ts';
import { Curve } from './Curve.tsx';
import { Recalls, Round, Suggestion, Verdict } from './Round.tsx';
import { heads, listed, load } from './list.ts';

const SHOWN = 10;

export function Heads() {
  const head = state.value?.head ?? null;
  const advice = state.value?.advice;
  const [detail, setDetail] = useState<HeadDetail | null>(null);
  const taught = Object.values(counts.value).filter((n) => n > 0).length;
  const training = jobs.value.find((job) => job.op === 'train' && ['init', 'executing'].includes(job.status));

  useEffect(() => {
    if (head) {
      void get<HeadDetail>(`heads/${head.version}`).then(setDetail, () => setDetail(null));
    }
  }, [head?.version]);

  return (
    <main class="view" id="main" tabIndex={-1}>
      <header class="row between wrap">
        <h1>{t('nav.heads')}</h1>
        <div class="row">
          {training ? (
            <Act onClick={() => void act('train', 'cancel')}>{t('train.cancel')}</Act>
          ) : (
            <Act
              why={taught < 2 && t('show.two')}
              onClick={async () => {
                if (await act('train', 'start')) {
                  note(t('train.started'));
                }
              }}
            >
              {t('train')}
            </Act>
          )}
        </div>
      </header>
      <Commands op="train" body="start" />
      <div class="columns">
        <section class="card stack" aria-labelledby="good">
          <h2 id="good">{t('good')}</h2>
          {head ? <Verdict head={head} advice={advice} /> : <p>{t('heads.none')}</p>}
          {!head && (
            <a class="button main" href={to(['start'])}>
              {t('start.begin')}
            </a>
          )}
          {advice && <Suggestion advice={advice} />}
          {advice && <Curve advice={advice} />}
        </section>
        <div class="column">
          {round.value && <Round job={round.value} whole />}
          {detail?.metrics && head && (
            <section class="card">
              <Recalls metrics={detail.metrics} classes={head.classes} />
              <a class="small" href={to(['samples', 'confusion'])}>
                {t('recalls.more')}
              </a>
            </section>
          )}
        </div>
      </div>
      {heads.value.length > 0 && (
        <section class="card" aria-labelledby="list">
          <h2 id="list">{t('heads.list')}</h2>
          <p class="small quiet">{t('heads.list.how')}</p>
          <ul class="heads">
            {heads.value.slice(0, SHOWN).map((row) => (
              <Row key={row.version} row={row} />
            ))}
          </ul>
          <Commands op="head" body={{ action: 'rollback', to: heads.value[1]?.version ?? 1 }} />
          <Commands op="head" body="pin" />
        </section>
      )}
    </main>
  );
}

function Row({ row }: { row: HeadRow }) {
  const active = row.version === listed.value?.active;
  const pinned = active && state.value?.head?.pinned === true;
  async function send(body: object, done: string) {
    if (await act('head', body)) {
      note(done);
      await load();
    }
  }
  return (
    <li data-active={active}>
      <div class="grow stack tight">
        <p>
          <strong>{t('head', { version: row.version })}</strong>{' '}
          {active && <span class="badge good">{t('heads.active')}</span>}{' '}
          {pinned && <span class="badge">{t('heads.pinned')}</span>}{' '}
          {row.promoted === null && <span class="badge">{t('heads.refused')}</span>}
        </p>
        <p class="small quiet">
          {day(row.created)} · {row.classes.join(', ')} · {row.method}
          {row.restored_from !== null && ` · ${t('heads.restored', { version: row.restored_from })}`}
        </p>
        <p class="small">
          {row.accuracy
            ? `${percent(row.accuracy.value)} (${percent(row.accuracy.low)}–${percent(row.accuracy.high)})`
            : t('accuracy.none')}
          {row.gate !== null && row.restored_from === null && ` · ${say(row.gate)}`}
        </p>
      </div>
      <div class="row wrap">
        {active ? (
          <Act
            class="small"
            pressed={pinned}
            onClick={() => void send({ action: 'pin', on: !pinned }, t(pinned ? 'heads.unpin.done' : 'heads.pin.done'))}
          >
            <Icon name="pin" />
            {t(pinned ? 'heads.unpin' : 'heads.pin')}
          </Act>
        ) : (
          <Act
            class="small"
            why={!row.has_file && t('heads.gone')}
            label={t('heads.back.label', { version: row.version })}
            onClick={() =>
              void send(
                row.promoted === null
                  ? { action: 'apply', version: row.version }
                  : { action: 'rollback', to: row.version },
                t('heads.back.done', { version: row.version }),
              )
            }
          >
            <Icon name="undo" />
            {t('heads.back')}
          </Act>
        )}
        {row.has_file && (
          <details class="menu">
            <summary class="button small">
              <Icon name="download" />
              {t('download')}
              <span class="unseen"> {t('head', { version: row.version })}</span>
            </summary>
            <ul>
              {(['safetensors', 'onnx', 'merged-onnx'] as const).map((format) => (
                <li key={format}>
                  <a
                    href={`${base}/heads/${row.version}/file?format=${format}`}
                    download={`head-${row.version}${format === 'merged-onnx' ? '-merged' : ''}.${format === 'safetensors' ? format : 'onnx'}`}
                  >
                    {t(`format.${format}`)}
                  </a>
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </li>
  );
}

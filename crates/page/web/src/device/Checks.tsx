import { useEffect, useState } from 'preact/hooks';
import { Refused, get } from '../api.ts';
import { Act } from '../parts/Act.tsx';
import { Line } from '../parts/Commands.tsx';
import { Icon } from '../parts/Icon.tsx';
import { maybe, t } from '../words.ts';

interface Finding {
  check: string;
  verdict: string;
  found: string;
  remedy?: string;
}

/** What the board lacks, as `graft doctor` finds it. */
export function Checks() {
  const [list, setList] = useState<Finding[] | null>(null);
  const [error, setError] = useState('');
  const run = () => {
    setList(null);
    setError('');
    get<{ findings?: Finding[]; checks?: Finding[] } | Finding[]>('doctor').then(
      (got) => setList(Array.isArray(got) ? got : (got.findings ?? got.checks ?? [])),
      (failure: unknown) => setError(failure instanceof Refused ? failure.fault.message : String(failure)),
    );
  };
  useEffect(run, []);
  return (
    <section class="card stack" aria-label={t('device.checks')}>
      <div class="row between">
        <p class="quiet">{t('checks.how')}</p>
        <Act looks onClick={run}>
          {t('checks.again')}
        </Act>
      </div>
      {error !== '' && <p>{error}</p>}
      {list === null && error === '' && <p class="quiet">{t('loading')}</p>}
      <ul class="rows">
        {list?.map((one, index) => {
          return (
            <li key={index} data-status={one.verdict}>
              <Icon name={one.verdict === 'ok' ? 'check' : 'warn'} />
              <div class="grow">
                <p>
                  <strong>{one.check}</strong> <span class="badge">{maybe(`checks.${one.verdict}`) ?? one.verdict}</span>
                </p>
                <p class="small">{one.found}</p>
                {one.remedy && <p class="small quiet">{one.remedy}</p>}
              </div>
            </li>
          );
        })}
      </ul>
      <Line text="graft doctor" />
    </section>
  );
}

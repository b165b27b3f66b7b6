import { address, to } from '../address.ts';
import { number, t } from '../words.ts';
import { Listed } from './Worst.tsx';
import { useHeldOut } from './held.ts';

/** What was taken for what; a number opens its pictures. */
export function Confusion() {
  const held = useHeldOut();
  const truth = address.value.query.get('class');
  const said = address.value.query.get('said');
  if (held === null) {
    return <p class="quiet">{t('loading')}</p>;
  }
  if (held.rows.length === 0) {
    return <p class="quiet">{t('confusion.none')}</p>;
  }
  const names = [...new Set(held.rows.flatMap((row) => [row.class, row.said]))].sort();
  const count = (a: string, b: string) => held.rows.filter((row) => row.class === a && row.said === b).length;
  const most = Math.max(...names.flatMap((a) => names.map((b) => count(a, b))));
  const rows = held.rows.filter((row) => row.class === truth && row.said === said);
  return (
    <section class="stack" aria-label={t('samples.confusion')}>
      <p class="quiet">{t('confusion.how')}</p>
      <div class="scroll" tabIndex={0} role="region" aria-label={t('samples.confusion')}>
        <table class="confusion">
          <thead>
            <tr>
              <th scope="col" class="corner">
                {t('confusion.corner')}
              </th>
              {names.map((name) => (
                <th scope="col" key={name}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {names.map((a) => (
              <tr key={a}>
                <th scope="row">{a}</th>
                {names.map((b) => {
                  const n = count(a, b);
                  const depth = n === 0 ? 0 : Math.max(1, Math.round((n / most) * 4));
                  return (
                    <td key={b} data-right={a === b} data-depth={depth}>
                      {n === 0 ? (
                        <span class="quiet">0</span>
                      ) : (
                        <a
                          href={to(['samples', 'confusion'], { class: a, said: b })}
                          aria-current={a === truth && b === said ? 'true' : undefined}
                          aria-label={t(a === b ? 'confusion.right' : 'confusion.wrong', { n, class: a, said: b })}
                        >
                          {number(n)}
                        </a>
                      )}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {truth !== null && said !== null && (
        <>
          <h2>{t(truth === said ? 'confusion.right' : 'confusion.wrong', { n: rows.length, class: truth, said })}</h2>
          <Listed rows={rows} />
        </>
      )}
    </section>
  );
}

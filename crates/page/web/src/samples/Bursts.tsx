import { useState } from 'preact/hooks';
import { bulk } from '../actions.ts';
import { address, go, to } from '../address.ts';
import { get, picture } from '../api.ts';
import { classes, state } from '../board.ts';
import { isTyping, keys, tint } from '../keys.ts';
import { Commands } from '../parts/Commands.tsx';
import { type Chosen, extended, nothing, toggled } from '../selection.ts';
import type { Burst } from '../shapes.ts';
import { day, many, t } from '../words.ts';
import { Filter } from './Filter.tsx';
import { Tile, Tiles } from './Tiles.tsx';
import { Toolbar } from './Toolbar.tsx';
import { usePaged } from './paged.ts';

/** What was taken in one go is one tile, which opens; its pictures are alike, so it is labelled as one. */
export function Bursts() {
  const chosenClass = address.value.query.get('class');
  const rev = state.value?.dataset.rev;
  const paged = usePaged<Burst>(
    async (offset, limit) => {
      const got = await get<{ bursts: Burst[]; total: number }>('bursts', {
        class: chosenClass ?? undefined,
        limit,
        offset,
      });
      return { rows: got.bursts, total: got.total };
    },
    null,
    `${chosenClass} ${rev}`,
  );
  const [chosen, setChosen] = useState<Chosen<string>>(nothing());
  const total = paged.total ?? 0;
  const order = () => Array.from({ length: total }, (_, i) => paged.rows.get(i)?.burst ?? '');

  async function give(name: string | null, bursts: Iterable<string> = chosen.keys) {
    for (const burst of bursts) {
      if (!(await bulk({ burst }, name))) {
        return;
      }
    }
    setChosen(nothing());
    paged.reload();
  }

  function press(event: KeyboardEvent, index: number) {
    const burst = paged.rows.get(index)?.burst;
    const name = classes.value.find((one) => keys.value.get(one) === event.key);
    if (isTyping(event) || event.ctrlKey || event.metaKey || burst === undefined) {
      return;
    }
    if (event.key === 'x' || event.key === ' ') {
      event.preventDefault();
      setChosen(toggled(chosen, burst));
    } else if (name !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      void give(name, chosen.keys.size > 0 ? chosen.keys : [burst]);
    } else if (event.key === 'Escape') {
      setChosen(nothing());
    }
  }

  return (
    <section class="stack" aria-label={t('samples.bursts')}>
      <Filter view="bursts" chosen={chosenClass} />
      {paged.total === 0 && <Nothing />}
      <Toolbar
        count={chosen.keys.size}
        what="bursts"
        onGive={(name) => void give(name)}
        onNone={() => setChosen(nothing())}
      />
      <Tiles
        total={total}
        label={t('samples.bursts')}
        size={[156, 186]}
        onRange={paged.want}
        onKey={press}
        tile={(index) => {
          const burst = paged.rows.get(index);
          if (!burst) {
            return <div class="tile blank" />;
          }
          return (
            <Tile
              src={picture(burst.first)}
              alt={t('burst.alt', {
                class: burst.class,
                samples: many('tally.samples', burst.samples),
                time: day(burst.taken),
              })}
              stack={burst.samples > 1}
              chosen={chosen.keys.has(burst.burst)}
              choosing={chosen.keys.size > 0}
              onOpen={() => go(['samples', 'burst', burst.burst])}
              onChoose={(run) =>
                setChosen(run ? extended(chosen, burst.burst, order()) : toggled(chosen, burst.burst))
              }
            >
              <p class={tint(burst.class)}>
                <span class="swatch" aria-hidden="true" />
                {burst.class}
              </p>
              <p class="small quiet">
                {many('tally.samples', burst.samples)}
                {burst.suspect > 0 && <span class="badge">{many('burst.suspect', burst.suspect)}</span>}
              </p>
            </Tile>
          );
        }}
      />
      <Commands op="label" body={{ action: 'relabel', burst: paged.rows.get(0)?.burst ?? 'NAME', class: 'ok' }} />
    </section>
  );
}

export function Nothing() {
  return (
    <div class="card invite">
      <p>{t('samples.none')}</p>
      <a class="button main" href={to(['camera'])}>
        {t('samples.teach')}
      </a>
    </div>
  );
}

import { useState } from 'preact/hooks';
import { bulk } from '../actions.ts';
import { address, go, to } from '../address.ts';
import { get, picture } from '../api.ts';
import { classes, state } from '../board.ts';
import { isTyping, keys, tint } from '../keys.ts';
import { Commands } from '../parts/Commands.tsx';
import { type Chosen, batches, extended, nothing, toggled } from '../selection.ts';
import type { Burst } from '../shapes.ts';
import { day, many, t } from '../words.ts';
import { Filter } from './Filter.tsx';
import { Tile, Tiles } from './Tiles.tsx';
import { Toolbar } from './Toolbar.tsx';
import { usePaged } from './paged.ts';

/** A burst of which a part got another class is two tiles. */
const name = (burst: Burst | undefined) => (burst ? `${burst.burst} ${burst.class}` : '');

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
  const order = () => Array.from({ length: total }, (_, i) => name(paged.rows.get(i)));

  async function give(to: string | null, keys: ReadonlySet<string> = chosen.keys) {
    const bursts = [...paged.rows.values()].filter((burst) => keys.has(name(burst)));
    // All of them as one step that one undo takes back; a burst too long to list its samples goes by its name.
    const listed = bursts.filter((burst) => burst.ids.length === burst.samples).flatMap((burst) => burst.ids);
    for (const samples of batches(listed)) {
      if (!(await bulk({ samples }, to))) {
        return;
      }
    }
    for (const { burst } of bursts.filter((burst) => burst.ids.length !== burst.samples)) {
      if (!(await bulk({ burst }, to))) {
        return;
      }
    }
    setChosen(nothing());
    paged.reload();
  }

  function press(event: KeyboardEvent, index: number): boolean {
    const burst = name(paged.rows.get(index));
    const to = classes.value.find((one) => keys.value.get(one) === event.key);
    if (isTyping(event) || event.ctrlKey || event.metaKey || burst === '') {
      return false;
    }
    if (event.key === 'x' || event.key === ' ') {
      event.preventDefault();
      setChosen(toggled(chosen, burst));
    } else if (to !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      const alone = chosen.keys.size === 0;
      void give(to, chosen.keys.size > 0 ? chosen.keys : new Set([burst]));
      return alone;
    } else if (event.key === 'Escape') {
      setChosen(nothing());
    }
    return false;
  }

  return (
    <section class="stack" aria-label={t('samples.bursts')}>
      <Filter view="bursts" chosen={chosenClass} />
      {paged.total === 0 && <Nothing />}
      <Toolbar
        count={chosen.keys.size}
        what="bursts"
        onGive={(to) => void give(to)}
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
              chosen={chosen.keys.has(name(burst))}
              choosing={chosen.keys.size > 0}
              onOpen={() => go(['samples', 'burst', burst.burst], { class: burst.class })}
              onChoose={(run) =>
                setChosen(run ? extended(chosen, name(burst), order()) : toggled(chosen, name(burst)))
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

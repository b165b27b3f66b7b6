import { useEffect, useState } from 'preact/hooks';
import { bulk } from '../actions.ts';
import { address, to } from '../address.ts';
import { get, picture } from '../api.ts';
import { classes, counts, state } from '../board.ts';
import { isTyping, keys, tint } from '../keys.ts';
import { Commands } from '../parts/Commands.tsx';
import { Icon } from '../parts/Icon.tsx';
import { type Chosen, batches, extended, nothing, toggled } from '../selection.ts';
import type { Burst, Sample } from '../shapes.ts';
import { many, t } from '../words.ts';
import { Nothing } from './Bursts.tsx';
import { Filter } from './Filter.tsx';
import { Tile, Tiles } from './Tiles.tsx';
import { Toolbar } from './Toolbar.tsx';
import { Zoom } from './Zoom.tsx';
import { usePaged } from './paged.ts';

/** Every picture, or those of one burst. */
export function Pictures({ burst }: { burst?: string }) {
  const chosenClass = address.value.query.get('class');
  const rev = state.value?.dataset.rev;
  const all = Object.values(counts.value).reduce((sum, n) => sum + n, 0);
  const known = burst !== undefined ? null : chosenClass === null ? all : (counts.value[chosenClass] ?? 0);
  const [whole, setWhole] = useState<Burst | null>(null);
  const paged = usePaged<Sample>(
    async (offset, limit) => {
      if (burst === undefined) {
        const got = await get<{ samples: Sample[] }>('samples', { class: chosenClass ?? undefined, limit, offset });
        return { rows: got.samples };
      }
      // Its class may have changed since the link was made.
      const found = (await find(burst, chosenClass)) ?? (await find(burst, null));
      setWhole(found);
      const rows = (found?.ids ?? []).map((id) => ({
        id,
        burst,
        class: found?.class ?? '',
        taken: found?.taken ?? '',
      }));
      return { rows, total: rows.length };
    },
    known,
    `${burst} ${chosenClass} ${rev}`,
  );
  const [chosen, setChosen] = useState<Chosen<number>>(nothing());
  const [zoomed, setZoomed] = useState<number | null>(null);
  const total = paged.total ?? 0;
  const order = () => Array.from({ length: total }, (_, i) => paged.rows.get(i)?.id ?? -1);

  // What is gone is not chosen any longer.
  useEffect(() => setChosen(nothing()), [burst, chosenClass]);

  async function give(name: string | null, ids: Iterable<number> = chosen.keys) {
    for (const samples of batches(ids)) {
      if (!(await bulk({ samples }, name))) {
        return;
      }
    }
    setChosen(nothing());
    paged.reload();
  }

  function press(event: KeyboardEvent, index: number): boolean {
    const sample = paged.rows.get(index);
    if (isTyping(event) || event.ctrlKey || event.metaKey || !sample) {
      return false;
    }
    const ids = chosen.keys.size > 0 ? chosen.keys : [sample.id];
    const name = classes.value.find((one) => keys.value.get(one) === event.key);
    if (event.key === 'x' || event.key === ' ') {
      event.preventDefault();
      setChosen(event.shiftKey ? extended(chosen, sample.id, order()) : toggled(chosen, sample.id));
    } else if (event.key === 'Delete') {
      void give(null, ids);
    } else if (event.key === 'Escape') {
      setChosen(nothing());
    } else if (name !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      void give(name, ids);
      return chosen.keys.size === 0;
    }
    return false;
  }

  const open = zoomed === null ? undefined : paged.rows.get(zoomed);
  return (
    <section class="stack" aria-label={t('samples.pictures')}>
      {burst === undefined ? (
        <Filter view="pictures" chosen={chosenClass} />
      ) : (
        <div class="row wrap">
          <a class="button small" href={to(['samples', 'bursts'])}>
            <Icon name="back" />
            {t('samples.bursts')}
          </a>
          {whole && (
            <p class={tint(whole.class)}>
              <span class="swatch" aria-hidden="true" />
              <strong>{whole.class}</strong> · {many('tally.samples', whole.samples)}
            </p>
          )}
        </div>
      )}
      {total === 0 && paged.total !== null && <Nothing />}
      <Toolbar
        count={chosen.keys.size}
        what="samples"
        onGive={(name) => void give(name)}
        onAll={burst === undefined ? undefined : () => setChosen({ keys: new Set(order()), anchor: null })}
        onNone={() => setChosen(nothing())}
      />
      <Tiles
        total={total}
        label={t('samples.pictures')}
        onRange={paged.want}
        onKey={press}
        tile={(index) => {
          const sample = paged.rows.get(index);
          if (!sample) {
            return <div class="tile blank" />;
          }
          return (
            <Tile
              src={picture(sample.id)}
              alt={t('sample.alt', { id: sample.id, class: sample.class })}
              chosen={chosen.keys.has(sample.id)}
              choosing={chosen.keys.size > 0}
              onOpen={() => setZoomed(index)}
              onChoose={(run) => setChosen(run ? extended(chosen, sample.id, order()) : toggled(chosen, sample.id))}
            >
              <p class={`small ${tint(sample.class)}`}>
                <span class="swatch" aria-hidden="true" />
                {sample.class}
              </p>
            </Tile>
          );
        }}
      />
      {open && (
        <Zoom
          sample={open}
          onClose={() => setZoomed(null)}
          onStep={(step) => setZoomed(Math.min(total - 1, Math.max(0, (zoomed ?? 0) + step)))}
          onGive={(name) => void give(name, [open.id])}
        />
      )}
      <Commands op="label" body={{ action: 'relabel', samples: chosen.keys.size > 0 ? [...chosen.keys].slice(0, 20) : [814, 815], class: classes.value[0] ?? 'ok' }} />
    </section>
  );
}

/** The burst of this name: bursts are listed, not asked for one by one. */
async function find(name: string, of: string | null): Promise<Burst | null> {
  for (let offset = 0; ; offset += 100) {
    const got = await get<{ bursts: Burst[]; total: number }>('bursts', { class: of ?? undefined, limit: 100, offset });
    const found = got.bursts.find((one) => one.burst === name);
    if (found || got.bursts.length === 0 || offset + got.bursts.length >= got.total) {
      return found ?? null;
    }
  }
}

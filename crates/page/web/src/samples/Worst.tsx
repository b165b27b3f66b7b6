import { useState } from 'preact/hooks';
import { bulk } from '../actions.ts';
import { picture } from '../api.ts';
import { tint } from '../keys.ts';
import { type Chosen, batches, extended, nothing, toggled } from '../selection.ts';
import type { HeldOut } from '../shapes.ts';
import { percent, t } from '../words.ts';
import { Tile, Tiles } from './Tiles.tsx';
import { Toolbar } from './Toolbar.tsx';
import { Zoom } from './Zoom.tsx';
import { useHeldOut } from './held.ts';

/** The surest mistakes first. */
export function Worst() {
  const held = useHeldOut();
  if (held === null) {
    return <p class="quiet">{t('loading')}</p>;
  }
  const wrong = held.rows.filter((row) => row.class !== row.said).sort((a, b) => (b.confidence ?? 0) - (a.confidence ?? 0));
  const right = held.rows.filter((row) => row.class === row.said).sort((a, b) => (a.confidence ?? 0) - (b.confidence ?? 0));
  return (
    <section class="stack" aria-label={t('samples.worst')}>
      <p class="quiet">{t(held.rows.length > 0 ? 'worst.how' : 'confusion.none')}</p>
      <Listed rows={[...wrong, ...right]} />
    </section>
  );
}

const score = (value: number | undefined) => (value === undefined ? '' : `(${percent(value)})`);

/** Pictures with what the head said of them. */
export function Listed({ rows }: { rows: HeldOut['rows'] }) {
  const [chosen, setChosen] = useState<Chosen<number>>(nothing());
  const [zoomed, setZoomed] = useState<number | null>(null);
  const open = zoomed === null ? undefined : rows[zoomed];

  async function give(name: string | null, ids: Iterable<number> = chosen.keys) {
    for (const samples of batches(ids)) {
      await bulk({ samples }, name);
    }
    setChosen(nothing());
  }

  return (
    <>
      <Toolbar
        count={chosen.keys.size}
        what="samples"
        onGive={(name) => void give(name)}
        onAll={() => setChosen({ keys: new Set(rows.map((row) => row.id)), anchor: null })}
        onNone={() => setChosen(nothing())}
      />
      <Tiles
        total={rows.length}
        label={t('samples.pictures')}
        size={[132, 172]}
        tile={(index) => {
          const row = rows[index];
          return (
            row && (
              <Tile
                src={picture(row.id)}
                alt={t('held.alt', { id: row.id, class: row.class, said: row.said, score: score(row.confidence) })}
                chosen={chosen.keys.has(row.id)}
                choosing={chosen.keys.size > 0}
                onOpen={() => setZoomed(index)}
                onChoose={(run) =>
                  setChosen(
                    run ? extended(chosen, row.id, rows.map((one) => one.id)) : toggled(chosen, row.id),
                  )
                }
              >
                <p class={`small ${tint(row.class)}`}>
                  <span class="swatch" aria-hidden="true" />
                  {row.class}
                </p>
                <p class="small quiet">
                  {row.class === row.said
                    ? score(row.confidence)
                    : t('held.said', { said: row.said, score: score(row.confidence) })}
                </p>
              </Tile>
            )
          );
        }}
      />
      {open && (
        <Zoom
          sample={open}
          onClose={() => setZoomed(null)}
          onStep={(step) => setZoomed(Math.min(rows.length - 1, Math.max(0, (zoomed ?? 0) + step)))}
          onGive={(name) => void give(name, [open.id])}
        />
      )}
    </>
  );
}

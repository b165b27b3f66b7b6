import { useEffect, useState } from 'preact/hooks';
import { get, picture } from '../api.ts';
import { classes } from '../board.ts';
import { tint } from '../keys.ts';
import { Act } from '../parts/Act.tsx';
import { Dialog } from '../parts/Dialog.tsx';
import { Icon } from '../parts/Icon.tsx';
import { day, percent, t } from '../words.ts';

export interface Near {
  own: { id: number; similarity: number }[];
  said?: { class: string; samples: { id: number; similarity: number }[] } | null;
}

/** The samples that look most alike, of its own class and of the one that the head says. */
export function useNear(id: number): Near | null {
  const [near, setNear] = useState<Near | null>(null);
  useEffect(() => {
    let alive = true;
    setNear(null);
    get<Near>(`samples/${id}/near`).then(
      (got) => alive && setNear(got),
      () => undefined,
    );
    return () => {
      alive = false;
    };
  }, [id]);
  return near;
}

export function Row({ title, samples }: { title: string; samples: { id: number; similarity: number }[] }) {
  return (
    <div class="stack tight">
      <h3>{title}</h3>
      {samples.length === 0 ? (
        <p class="small quiet">{t('near.none')}</p>
      ) : (
        <ul class="near">
          {samples.slice(0, 4).map((one) => (
            <li key={one.id}>
              <img src={picture(one.id)} alt={t('near.alt', { id: one.id })} loading="lazy" />
              <span class="small quiet">{percent(one.similarity)}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

interface Props {
  sample: { id: number; class: string; taken?: string; source?: string; burst?: string };
  onClose: () => void;
  onStep: (step: number) => void;
  onGive: (name: string | null) => void;
}

/** One picture, large, with what is like it. */
export function Zoom({ sample, onClose, onStep, onGive }: Props) {
  const near = useNear(sample.id);
  return (
    <Dialog title={t('sample', { id: sample.id })} onClose={onClose} wide>
      <div
        class="zoom"
        onKeyDown={(event) => {
          if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
            event.preventDefault();
            onStep(event.key === 'ArrowLeft' ? -1 : 1);
          }
        }}
      >
        <img src={picture(sample.id)} alt={t('sample.alt', { id: sample.id, class: sample.class })} />
        <div class="row between">
          <Act looks class="small" onClick={() => onStep(-1)}>
            {t('previous')}
          </Act>
          <p class="small quiet">
            {sample.class}
            {sample.taken && ` · ${day(sample.taken)}`}
            {sample.source && ` · ${sample.source}`}
          </p>
          <Act looks class="small" onClick={() => onStep(1)}>
            {t('following')}
          </Act>
        </div>
        <div class="row wrap">
          {classes.value
            .filter((name) => name !== sample.class)
            .map((name) => (
              <Act key={name} class={`chip ${tint(name)}`} onClick={() => onGive(name)}>
                <span class="swatch" aria-hidden="true" />
                {name}
              </Act>
            ))}
          <Act
            class="small"
            onClick={() => {
              onGive(null);
              onClose();
            }}
          >
            <Icon name="trash" />
            {t('delete')}
          </Act>
        </div>
        {near && (
          <div class="columns">
            <Row title={t('near.own', { class: sample.class })} samples={near.own} />
            {near.said && near.said.class !== sample.class && (
              <Row title={t('near.said', { class: near.said.class })} samples={near.said.samples} />
            )}
          </div>
        )}
      </div>
    </Dialog>
  );
}

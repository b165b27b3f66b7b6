import { useState } from 'preact/hooks';
import { act, change, note } from '../actions.ts';
import { capture, classes, counts, state } from '../board.ts';
import { choose, keys, tint } from '../keys.ts';
import { Act, reason } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import { Dialog } from '../parts/Dialog.tsx';
import { Icon } from '../parts/Icon.tsx';
import { many, number, t } from '../words.ts';
import { let_go, press } from './hold.ts';

/** Why a name cannot be a class; none if it can. */
export function refused(name: string, there: string[]): string | null {
  const trimmed = name.trim();
  if (trimmed === '') {
    return t('class.empty');
  }
  if (trimmed.length > 64 || /[\\/]/.test(trimmed) || ['.', '..', 'unknown'].includes(trimmed)) {
    return t('class.wrong');
  }
  return there.includes(trimmed) ? t('class.twice') : null;
}

/** The classes as large buttons: held they record, tapped they take one picture. */
export function Classes() {
  return (
    <section class="card" aria-labelledby="teach">
      <h2 id="teach">{t('teach')}</h2>
      <p class="small quiet">{t('teach.how')}</p>
      <ul class="classes">
        {classes.value.map((name) => (
          <Class key={name} name={name} />
        ))}
      </ul>
      <Add />
      <Balance />
      <Commands op="capture" body={{ action: 'start', class: classes.value[0] ?? 'ok' }} />
    </section>
  );
}

export function Hold({ name }: { name: string }) {
  const running = capture.value?.class === name ? capture.value : null;
  const off = reason(null);
  const key = keys.value.get(name);
  return (
    <button
      type="button"
      class={`hold ${tint(name)}`}
      aria-disabled={off !== null}
      aria-pressed={running !== null}
      title={off ?? t('hold.title', { class: name })}
      onPointerDown={(event) => {
        if (event.button === 0 && off === null) {
          event.currentTarget.setPointerCapture(event.pointerId);
          press(name);
        } else if (off !== null) {
          note(off);
        }
      }}
      onPointerUp={() => void let_go()}
      onPointerCancel={() => void let_go(true)}
      onContextMenu={(event) => event.preventDefault()}
      onKeyDown={(event) => {
        if ((event.key === ' ' || event.key === 'Enter') && !event.repeat && off === null) {
          event.preventDefault();
          press(name);
        } else if (event.key === ' ' || event.key === 'Enter') {
          event.preventDefault();
        }
      }}
      onKeyUp={(event) => {
        if (event.key === ' ' || event.key === 'Enter') {
          void let_go();
        }
      }}
    >
      <span class="swatch" aria-hidden="true" />
      <span class="grow">
        <span class="name">{name}</span>
        <span class="small quiet">
          {running
            ? t('hold.running', { s: number(running.seconds, 1), kept: running.kept, skipped: running.skipped })
            : tally(name)}
        </span>
      </span>
      {key !== undefined && <kbd aria-label={t('key', { key })}>{key}</kbd>}
    </button>
  );
}

export function tally(name: string): string {
  const samples = counts.value[name] ?? 0;
  const bursts = state.value?.dataset.bursts[name] ?? 0;
  return samples === 0 ? t('tally.none') : `${many('tally.samples', samples)}, ${many('tally.bursts', bursts)}`;
}

function Class({ name }: { name: string }) {
  const [open, setOpen] = useState(false);
  return (
    <li>
      <Hold name={name} />
      <button type="button" class="button bare" aria-label={t('class.more', { class: name })} onClick={() => setOpen(true)}>
        <Icon name="more" />
      </button>
      {open && <Edit name={name} onClose={() => setOpen(false)} />}
    </li>
  );
}

function Edit({ name, onClose }: { name: string; onClose: () => void }) {
  const [to, setTo] = useState(name);
  const [key, setKey] = useState(keys.value.get(name) ?? '');
  const wrong = to === name ? t('class.same') : refused(to, classes.value);
  const samples = counts.value[name] ?? 0;
  return (
    <Dialog title={name} onClose={onClose}>
      <label class="field">
        {t('class.rename')}
        <input value={to} maxLength={64} onInput={(event) => setTo(event.currentTarget.value)} />
      </label>
      <p class="small quiet">{t('class.rename.how')}</p>
      <div class="row">
        <Act
          class="main"
          why={wrong}
          onClick={async () => {
            const body = { action: 'rename_class', class: name, to: to.trim() };
            if (await change('dataset', body, t('class.renamed', { class: name, to: to.trim() }))) {
              onClose();
            }
          }}
        >
          {t('class.rename.do')}
        </Act>
      </div>
      <Commands op="dataset" body={{ action: 'rename_class', class: name, to }} />
      <label class="field">
        {t('class.key')}
        <input
          class="short"
          value={key}
          maxLength={1}
          onInput={(event) => {
            const chosen = event.currentTarget.value.toLowerCase();
            setKey(chosen);
            choose(name, chosen);
          }}
        />
      </label>
      <hr />
      <p>{many('class.remove.how', samples)}</p>
      <div class="row">
        <Act
          class="danger"
          onClick={async () => {
            const body = { action: 'remove_class', class: name, dry_run: false };
            if (await change('dataset', body, t('class.removed', { class: name }))) {
              onClose();
            }
          }}
        >
          <Icon name="trash" />
          {t('class.remove')}
        </Act>
      </div>
      <Commands op="dataset" body={{ action: 'remove_class', class: name, dry_run: false }} />
    </Dialog>
  );
}

export function Add() {
  const [name, setName] = useState('');
  const wrong = refused(name, classes.value);
  async function add(event: Event) {
    event.preventDefault();
    if (wrong === null && (await act('dataset', { action: 'add_class', class: name.trim() }))) {
      setName('');
    }
  }
  return (
    <form class="row add" onSubmit={(event) => void add(event)}>
      <input
        class="grow"
        aria-label={t('class.new')}
        placeholder={t('class.new')}
        value={name}
        maxLength={64}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <Act why={wrong} submit>
        <Icon name="plus" />
        {t('class.add')}
      </Act>
    </form>
  );
}

/** Some classes have far more pictures than others. */
export function Balance() {
  const filled = classes.value.filter((name) => (counts.value[name] ?? 0) > 0);
  const sorted = [...filled].sort((a, b) => (counts.value[b] ?? 0) - (counts.value[a] ?? 0));
  const most = sorted[0];
  const least = sorted[sorted.length - 1];
  if (most === undefined || least === undefined || most === least) {
    return null;
  }
  const times = (counts.value[most] ?? 0) / Math.max(1, counts.value[least] ?? 1);
  return times <= 3 ? null : (
    <p class="hint">
      <Icon name="warn" />
      {t('balance', { most, least, times: number(times, times < 10 ? 1 : 0) })}
    </p>
  );
}

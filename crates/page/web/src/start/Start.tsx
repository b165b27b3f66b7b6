import { useEffect, useState } from 'preact/hooks';
import { act } from '../actions.ts';
import { address, go, read, to } from '../address.ts';
import { classes, counts, empty, lost, state } from '../board.ts';
import { Answer } from '../camera/Answer.tsx';
import { Add, Balance, Hold, refused } from '../camera/Classes.tsx';
import { RegionLine } from '../camera/Region.tsx';
import { Figures, Quality, Stage } from '../camera/Stage.tsx';
import { States } from '../camera/States.tsx';
import { Latest } from '../heads/Round.tsx';
import { Act, reason } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import { Icon } from '../parts/Icon.tsx';
import { say } from '../sentences.ts';
import { t } from '../words.ts';

const STEPS = ['look', 'name', 'show', 'answer'] as const;
type Step = (typeof STEPS)[number];

/** From the first look to the first answer, in four steps. Each has an address, so that a reload stays where it was. */
export function Start() {
  const asked = address.value.path[1] as Step;
  const step: Step = STEPS.includes(asked) ? asked : 'look';
  const at = STEPS.indexOf(step);
  return (
    <main class="view camera start" id="main" tabIndex={-1}>
      <div class="column look">
        <ol class="steps" aria-label={t('start')}>
          {STEPS.map((name, index) => (
            <li key={name} aria-current={name === step ? 'step' : undefined} data-done={index < at}>
              <a href={to(['start', name])}>
                <span class="count">{index < at ? <Icon name="check" /> : index + 1}</span>
                {t(`start.${name}`)}
              </a>
            </li>
          ))}
        </ol>
        <States />
        <Stage />
        {step === 'look' && (
          <div class="stack tight under">
            <RegionLine />
            <Figures />
            <Quality />
          </div>
        )}
      </div>
      <div class="column">
        {step === 'look' && <Look />}
        {step === 'name' && <Name />}
        {step === 'show' && <Show />}
        {step === 'answer' && <Result />}
      </div>
    </main>
  );
}

function Look() {
  return (
    <section class="card stack">
      <h1>{t('look.title')}</h1>
      <p>{t('look.how')}</p>
      <ul class="plain">
        <li>{t('look.light')}</li>
        <li>{t('look.size')}</li>
        <li>{t('look.region')}</li>
      </ul>
      <div class="row">
        <Act class="main" looks why={lost.value && t('lost.camera')} onClick={() => go(['start', 'name'])}>
          {t('next')}
        </Act>
        <a class="button" href={to(['camera'])}>
          {t('skip')}
        </a>
      </div>
    </section>
  );
}

function Name() {
  const there = classes.value;
  const [names, setNames] = useState<string[]>(['', '']);
  const wanted = names.map((name) => name.trim()).filter((name) => name !== '');
  const wrong = wanted.map((name, i) => refused(name, [...there, ...wanted.slice(0, i)])).find((why) => why !== null);
  const enough = there.length + wanted.length >= 2;

  async function save(event: Event) {
    event.preventDefault();
    for (const name of wanted) {
      if (!(await act('dataset', { action: 'add_class', class: name }))) {
        return;
      }
    }
    // It learns by itself from now on.
    if (await act('mode', 'adapt')) {
      go(['start', 'show']);
    }
  }

  return (
    <form class="card stack" onSubmit={(event) => void save(event)}>
      <h1>{t('name.title')}</h1>
      <p>{t('name.how')}</p>
      {there.length > 0 && <p class="quiet">{t('name.there', { classes: there.join(', ') })}</p>}
      {names.map((name, index) => (
        <label class="field" key={index}>
          {t('name.field', { n: there.length + index + 1 })}
          <input
            value={name}
            maxLength={64}
            placeholder={t(index === 0 ? 'name.example.first' : 'name.example.second')}
            onInput={(event) => setNames(names.map((old, i) => (i === index ? event.currentTarget.value : old)))}
          />
        </label>
      ))}
      <div class="row wrap">
        <Act looks class="small" onClick={() => setNames([...names, ''])}>
          <Icon name="plus" />
          {t('name.another')}
        </Act>
        {!there.includes('none') && !wanted.includes('none') && (
          <Act
            looks
            class="small"
            onClick={() => {
              const at = names.findIndex((name) => name.trim() === '');
              setNames(at > 1 ? names.map((old, i) => (i === at ? 'none' : old)) : [...names, 'none']);
            }}
          >
            <Icon name="plus" />
            {t('name.none')}
          </Act>
        )}
      </div>
      <p class="small quiet">{t('name.none.how')}</p>
      <div class="row">
        <Act class="main" submit why={wrong ?? (!enough && t('name.two'))}>
          {t('next')}
        </Act>
        <a class="button" href={to(['start', 'look'])}>
          {t('back')}
        </a>
      </div>
      <Commands op="dataset" body={{ action: 'add_class', class: wanted[0] ?? 'ok' }} />
      <Commands op="mode" body="adapt" />
    </form>
  );
}

function Show() {
  const board = state.value;
  const taught = classes.value.filter((name) => (counts.value[name] ?? 0) > 0).length;
  const waits = board?.adaptation.waiting_for;
  const head = board?.head ?? null;
  const version = head?.version;
  const [before] = useState(version);

  // The answer is worth a look of its own as soon as there is one.
  useEffect(() => {
    if (version !== undefined && before === undefined) {
      go(['start', 'answer']);
    }
  }, [version, before]);

  return (
    <>
      <section class="card stack">
        <h1>{t('show.title')}</h1>
        <p>{t('show.how')}</p>
        {classes.value.length === 0 && <a href={to(['start', 'name'])}>{t('show.name')}</a>}
        <ul class="classes">
          {classes.value.map((name) => (
            <li key={name}>
              <Hold name={name} />
            </li>
          ))}
        </ul>
        <p class="waits">
          {board?.adaptation.phase === 'training' ? t('learning.now') : waits ? say(waits) : t('learning.soon')}
        </p>
        {board && board.wanted !== 'adapt' && (
          <Act class="main" onClick={() => void act('mode', 'adapt')}>
            {t('mode.switch')}
          </Act>
        )}
        <Balance />
        <div class="row">
          <Act class="main" looks why={taught < 2 && t('show.two')} onClick={() => go(['start', 'answer'])}>
            {t('next')}
          </Act>
          <a class="button" href={to(['start', 'name'])}>
            {t('back')}
          </a>
        </div>
        <Commands op="capture" body={{ action: 'start', class: classes.value[0] ?? 'ok' }} />
      </section>
      <p class="small quiet">{t('show.tip')}</p>
    </>
  );
}

function Result() {
  const head = state.value?.head ?? null;
  const waits = state.value?.adaptation.waiting_for;
  return (
    <>
      <section class="card stack">
        <h1>{t(head ? 'result.title' : 'result.soon')}</h1>
        <p>{head ? t('result.how') : waits ? say(waits) : t('learning.soon')}</p>
      </section>
      <Answer />
      <section class="card stack">
        <h2>{t('result.more')}</h2>
        <p class="small quiet">{t('result.more.how')}</p>
        <ul class="classes">
          {classes.value.map((name) => (
            <li key={name}>
              <Hold name={name} />
            </li>
          ))}
        </ul>
        {reason(null) === null && <Add />}
      </section>
      <Latest />
      <div class="row">
        <a class="button main" href={to(['camera'])}>
          {t('result.done')}
        </a>
        <a class="button" href={to(['start', 'show'])}>
          {t('back')}
        </a>
      </div>
    </>
  );
}

/** The first visit begins with the four steps. */
export function first(): boolean {
  // Of the address as it is, which the page may not have heard of yet.
  return empty.value && read(location.hash).path.length === 0;
}


import { useEffect, useState } from 'preact/hooks';
import { act, note } from '../actions.ts';
import { Act } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import { type Kind, RUNTIME, load, origins, parse, settings } from '../settings.ts';
import { t, type Word } from '../words.ts';

/** Settings that can change while the board runs; the others are shown. */
export function Settings() {
  useEffect(() => void load().catch(() => undefined), []);
  const groups = [...new Set(Object.keys(RUNTIME).map((key) => key.split('.')[0] ?? ''))];
  const others = Object.entries(settings.value).filter(([key]) => !(key in RUNTIME) && key !== 'schema');
  return (
    <section class="stack" aria-label={t('device.settings')}>
      <p class="quiet">{t('settings.how')}</p>
      {groups.map((group) => (
        <section class="card" key={group} aria-labelledby={`group-${group}`}>
          <h2 id={`group-${group}`}>{t(`settings.${group}` as Word)}</h2>
          <div class="settings">
            {Object.entries(RUNTIME)
              .filter(([key]) => key.startsWith(`${group}.`) && key in settings.value)
              .map(([key, kind]) => (
                <Setting key={key} name={key} kind={kind} value={settings.value[key]} />
              ))}
          </div>
        </section>
      ))}
      <details class="card">
        <summary>{t('settings.others')}</summary>
        <dl class="facts">
          {others.map(([key, value]) => (
            <div key={key}>
              <dt>
                <code>{key}</code>
              </dt>
              <dd>{show(value)}</dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}

const show = (value: unknown) => (value === '' ? '–' : typeof value === 'string' ? value : JSON.stringify(value));

function Setting({ name, kind, value }: { name: string; kind: Kind; value: unknown }) {
  const [text, setText] = useState(String(value ?? ''));
  const [wrong, setWrong] = useState('');
  useEffect(() => setText(String(value ?? '')), [value]);
  const parsed = parse(kind, text);
  const changed = text !== String(value ?? '');
  const origin = origins.value[name] ?? 'default';

  async function save(to: string | number | boolean | undefined) {
    if (to === undefined) {
      setWrong(kind.kind === 'number' ? t('settings.range', { min: kind.min, max: kind.max }) : t('settings.wrong'));
      return;
    }
    setWrong('');
    if (await act('config', { action: 'set', values: { [name]: to } })) {
      note(t('settings.saved', { key: name }));
      await load();
    }
  }

  return (
    <form
      class="setting"
      onSubmit={(event) => {
        event.preventDefault();
        void save(parsed);
      }}
    >
      <label>
        <span>{t(`setting.${name}` as Word)}</span>
        <code class="small quiet">{name}</code>
        {kind.kind === 'choice' ? (
          <select value={text} onChange={(event) => setText(event.currentTarget.value)}>
            {kind.of.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        ) : kind.kind === 'flag' ? (
          <select value={text} onChange={(event) => setText(event.currentTarget.value)}>
            <option value="true">{t('on')}</option>
            <option value="false">{t('off')}</option>
          </select>
        ) : (
          <input
            value={text}
            inputMode={kind.kind === 'number' ? 'decimal' : 'text'}
            aria-invalid={wrong !== ''}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        )}
      </label>
      <div class="row">
        {changed && (
          <Act class="main small" submit>
            {t('save')}
          </Act>
        )}
        {!changed && origin !== 'default' && (
          <Act class="small" label={t('settings.reset', { key: name })} onClick={() => void save('')}>
            {t('settings.back')}
          </Act>
        )}
      </div>
      {wrong !== '' && (
        <p class="small wrong" role="alert">
          {wrong}
        </p>
      )}
      {changed && parsed !== undefined && <Commands op="config" body={{ action: 'set', values: { [name]: parsed } }} />}
    </form>
  );
}

import { post } from '../api.ts';
import { session } from '../board.ts';
import { Act } from '../parts/Act.tsx';
import { theme, themes } from '../theme.ts';
import { language, languages, speak, t, type Word } from '../words.ts';
import { showing, toggle } from '../parts/Commands.tsx';

/** What this browser remembers of the page: colours, language, commands. */
export function Look() {
  const name = (code: string) => new Intl.DisplayNames([code], { type: 'language' }).of(code) ?? code;
  return (
    <section class="card stack" aria-labelledby="look">
      <h2 id="look">{t('page')}</h2>
      <label class="field">
        {t('page.language')}
        <select
          value={language.value}
          onChange={(event) => {
            localStorage.setItem('language', event.currentTarget.value);
            void speak(event.currentTarget.value);
          }}
        >
          {languages.map((code) => (
            <option key={code} value={code} lang={code}>
              {name(code)}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        {t('page.colours')}
        <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value)}>
          {themes.map((one) => (
            <option key={one} value={one}>
              {t(`page.colours.${one}` as Word)}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input type="checkbox" checked={showing.value} onChange={toggle} />
        {t('page.commands')}
      </label>
      <p class="small quiet">{t('page.install')}</p>
      {session.value?.login && (
        <div class="row">
          <Act
            looks
            onClick={async () => {
              await post('logout', {}).catch(() => undefined);
              location.reload();
            }}
          >
            {t('logout')}
          </Act>
        </div>
      )}
    </section>
  );
}

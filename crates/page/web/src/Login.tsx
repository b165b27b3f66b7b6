import { useState } from 'preact/hooks';
import { Refused, post } from './api.ts';
import { session, start } from './board.ts';
import { Act } from './parts/Act.tsx';
import { Icon } from './parts/Icon.tsx';
import { Line } from './parts/Commands.tsx';
import { maybe, t } from './words.ts';

/** Who asks for a token shows this; it goes in the body of a request, never into an address. */
export function Login() {
  const [token, setToken] = useState('');
  const [wrong, setWrong] = useState('');
  async function enter(event: Event) {
    event.preventDefault();
    try {
      await post('login', { token: token.trim() });
      setToken('');
      await start();
    } catch (error) {
      const fault = error instanceof Refused ? error.fault : undefined;
      const busy = error instanceof Refused && error.status === 429;
      setWrong(busy ? t('login.often') : (maybe(`login.${fault?.code}`) ?? fault?.message ?? t('login.denied')));
    }
  }
  return (
    <main class="view login" id="main" tabIndex={-1}>
      <form class="card stack" onSubmit={(event) => void enter(event)}>
        <h1>
          <Icon name="leaf" /> {t('login.title', { device: session.value?.device ?? 'graft' })}
        </h1>
        <p>{t('login.how')}</p>
        <label class="field">
          {t('login.token')}
          <input
            type="password"
            autocomplete="current-password"
            value={token}
            aria-invalid={wrong !== ''}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        {wrong !== '' && (
          <p class="wrong" role="alert">
            {wrong}
          </p>
        )}
        <div class="row">
          <Act class="main" submit looks why={token.trim() === '' && t('login.empty')}>
            {t('login')}
          </Act>
        </div>
        <p class="small quiet">{t('login.where')}</p>
        <Line text="graft web token" />
      </form>
    </main>
  );
}

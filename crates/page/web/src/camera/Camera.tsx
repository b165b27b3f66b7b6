import { classes, empty, state } from '../board.ts';
import { to } from '../address.ts';
import { Latest } from '../heads/Round.tsx';
import { t } from '../words.ts';
import { Answer } from './Answer.tsx';
import { Classes } from './Classes.tsx';
import { RegionLine } from './Region.tsx';
import { Figures, Quality, Stage } from './Stage.tsx';
import { Learning, States } from './States.tsx';
import { Strip } from './Strip.tsx';

export function Camera() {
  return (
    <main class="view camera" id="main" tabIndex={-1}>
      <h1 class="unseen">{t('nav.camera')}</h1>
      <div class="column look">
        <States />
        <Stage />
        <div class="stack tight under">
          <RegionLine />
          <Figures />
          <Quality />
        </div>
        {classes.value.length > 0 && <Strip />}
      </div>
      <div class="column">
        {empty.value && state.value && (
          <section class="card invite">
            <h2>{t('start.invite')}</h2>
            <p>{t('start.invite.how')}</p>
            <a class="button main" href={to(['start'])}>
              {t('start.begin')}
            </a>
          </section>
        )}
        <Answer />
        <Classes />
        <Learning />
        <Latest />
      </div>
    </main>
  );
}

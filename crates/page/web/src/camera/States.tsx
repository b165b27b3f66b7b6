import type { ComponentChildren } from 'preact';
import { act, note } from '../actions.ts';
import { session, state, view } from '../board.ts';
import { Act } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import { Icon } from '../parts/Icon.tsx';
import { say } from '../sentences.ts';
import { maybe, t } from '../words.ts';

/** What limits the board, each with its remedy. A lost camera and a lost connection are told on the picture. */
export function States() {
  const board = state.value;
  const told: { key: string; title: string; todo?: string }[] = [];
  if (session.value?.role === 'viewer') {
    told.push({ key: 'viewer', title: t('state.viewer'), todo: t('state.viewer.todo') });
  }
  for (const why of board?.reasons ?? []) {
    if (why !== 'camera_lost') {
      const title = maybe(`state.${why}`) ?? why;
      told.push({ key: why, title, todo: maybe(`state.${why}.todo`) });
    }
  }
  if (board?.clock === 'unsynced') {
    told.push({ key: 'clock', title: t('state.clock'), todo: t('state.clock.todo') });
  }
  if (board?.drift && board.drift.verdict !== 'same') {
    const fault = board.drift.fault ?? '';
    const values = { class: board.drift.class ?? '', fault: maybe(`drift.fault.${fault}`) ?? fault };
    const title = maybe(`drift.${board.drift.verdict}`, values) ?? board.drift.verdict;
    told.push({ key: 'drift', title, todo: maybe(`drift.${board.drift.verdict}.todo`) });
  }
  if ((board?.dataset.set_aside ?? 0) > 0) {
    const n = board?.dataset.set_aside ?? 0;
    told.push({ key: 'aside', title: t('state.aside', { n }), todo: t('state.aside.todo') });
  }
  if (view.value === null && board === null) {
    return null;
  }
  return (
    <>
      {told.map((one) => (
        <Banner key={one.key} title={one.title} todo={one.todo} />
      ))}
    </>
  );
}

export function Banner({ title, todo, children }: { title: string; todo?: string; children?: ComponentChildren }) {
  return (
    <div class="banner" role="status">
      <Icon name="warn" />
      <div class="grow">
        <p>
          <strong>{title}</strong>
        </p>
        {todo !== undefined && <p class="small">{todo}</p>}
        {children}
      </div>
    </div>
  );
}

/** Whether the board learns, what it waits for, and the switch. */
export function Learning() {
  const board = state.value;
  if (!board) {
    return null;
  }
  const set = async (mode: string, done: string) => {
    if (await act('mode', mode)) {
      note(done);
    }
  };
  const waits = board.adaptation.waiting_for;
  const training = board.adaptation.phase === 'training';
  return (
    <section class="card learning" aria-labelledby="learning" data-mode={board.wanted}>
      <div class="row between">
        <h2 id="learning">{t('learning')}</h2>
        <div class="segments" role="group" aria-label={t('learning')}>
          {(['adapt', 'pause', 'infer'] as const).map((mode) => (
            <Act
              key={mode}
              pressed={board.wanted === mode}
              onClick={() => void set(mode, t(`mode.${mode}.done`))}
            >
              {t(`mode.${mode}`)}
            </Act>
          ))}
        </div>
      </div>
      <p>
        {training ? t('learning.now') : waits ? say(waits) : t('learning.soon')}
      </p>
      <Commands op="mode" body={board.wanted === 'adapt' ? 'infer' : 'adapt'} />
    </section>
  );
}

import { render } from 'preact';
import { App } from './App.tsx';
import { follow } from './address.ts';
import { begin } from './board.ts';
import { follow as followHeads } from './heads/list.ts';
import { load } from './settings.ts';
import { effect } from '@preact/signals';
import { session } from './board.ts';
import { paint } from './theme.ts';
import { preferred, speak } from './words.ts';
import './style/tokens.css';
import './style/base.css';
import './style/parts.css';
import './style/views.css';

paint();
follow();
begin();
followHeads();
effect(() => {
  if (session.value && session.value.role !== 'none') {
    void load().catch(() => undefined);
  }
});
const page = document.getElementById('page');
void speak(preferred()).then(() => {
  if (page) {
    render(<App />, page);
  }
});

// Keys of the whole page. They are dead while somebody types, and those of the classes outside of teaching.
import { undo } from './actions.ts';
import { address, go } from './address.ts';
import { admin, classes } from './board.ts';
import { let_go, press } from './camera/hold.ts';
import { isTyping, keys } from './keys.ts';

const PLACES: Record<string, string> = { c: 'camera', s: 'samples', h: 'heads', d: 'device' };

let going = 0;
let held: string | undefined;

const teaching = () => ['camera', 'start', undefined].includes(address.value.path[0]);

function down(event: KeyboardEvent, help: () => void): void {
  if (isTyping(event) || event.altKey) {
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === 'z' && (event.ctrlKey || event.metaKey) && !event.shiftKey) {
    event.preventDefault();
    void undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.repeat) {
    return;
  }
  const place = PLACES[key];
  if (Date.now() - going < 1000 && place !== undefined) {
    going = 0;
    event.preventDefault();
    go([place]);
    return;
  }
  const name = classes.value.find((one) => keys.value.get(one) === key);
  if (key === 'u') {
    void undo();
  } else if (key === '?') {
    help();
  } else if (key === 'g') {
    going = Date.now();
  } else if (name !== undefined && teaching() && admin.value && held === undefined) {
    held = key;
    press(name);
  }
}

export function install(help: () => void): void {
  addEventListener('keydown', (event) => down(event, help));
  addEventListener('keyup', (event) => {
    if (held !== undefined && event.key.toLowerCase() === held) {
      held = undefined;
      void let_go();
    }
  });
  addEventListener('blur', () => {
    held = undefined;
  });
}

import { effect, signal } from '@preact/signals';

export const themes = ['auto', 'light', 'dark'];
export const theme = signal(localStorage.getItem('theme') ?? 'auto');

export function paint(): void {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem('theme', theme.value);
  });
}

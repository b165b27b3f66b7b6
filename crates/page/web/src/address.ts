// Every view has an address: the part after `#`. `#/samples/burst/a%201?class=ok` is path ["samples","burst","a 1"].
import { signal } from '@preact/signals';

export interface Address {
  path: string[];
  query: URLSearchParams;
}

export function read(hash: string): Address {
  const [path = '', query = ''] = hash.replace(/^#?\/?/, '').split('?', 2);
  const parts = path.split('/').filter((part) => part !== '');
  return { path: parts.map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function to(path: string[], query: Record<string, string> = {}): string {
  const text = new URLSearchParams(query).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

export const address = signal<Address>(read(typeof location === 'undefined' ? '' : location.hash));

export function follow(): void {
  addEventListener('hashchange', () => {
    address.value = read(location.hash);
  });
}

export function go(path: string[], query: Record<string, string> = {}): void {
  location.hash = to(path, query);
}

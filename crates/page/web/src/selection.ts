// Which tiles are chosen: one, some with ctrl, a run of them with shift.

export interface Chosen<K> {
  keys: ReadonlySet<K>;
  /** Where a run with shift begins. */
  anchor: K | null;
}

export function nothing<K>(): Chosen<K> {
  return { keys: new Set(), anchor: null };
}

export function toggled<K>(chosen: Chosen<K>, key: K): Chosen<K> {
  const keys = new Set(chosen.keys);
  if (!keys.delete(key)) {
    keys.add(key);
  }
  return { keys, anchor: key };
}

/** With shift: everything between the anchor and `key` joins in, in the order of `all`. */
export function extended<K>(chosen: Chosen<K>, key: K, all: K[]): Chosen<K> {
  const from = chosen.anchor === null ? -1 : all.indexOf(chosen.anchor);
  const to = all.indexOf(key);
  if (from < 0 || to < 0) {
    return toggled(chosen, key);
  }
  const keys = new Set(chosen.keys);
  for (const other of all.slice(Math.min(from, to), Math.max(from, to) + 1)) {
    keys.add(other);
  }
  return { keys, anchor: chosen.anchor };
}

/** A thousand at most go into one command. */
export function batches<K>(keys: Iterable<K>, size = 1000): K[][] {
  const all = [...keys];
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

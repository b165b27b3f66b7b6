// Which key each class has.

/** Without those that mean something else: `u`, `g`, `x`, `r`, `i`. */
export const FREE = '123456789qwetzopasdfhjklycvbnm';

export function assign(names: string[], chosen: Record<string, string>): Map<string, string> {
  const taken = new Set(names.flatMap((name) => chosen[name] ?? []));
  const free = [...FREE].filter((key) => !taken.has(key));
  const keys = new Map<string, string>();
  for (const name of names) {
    const key = chosen[name] ?? free.shift();
    if (key !== undefined) {
      keys.set(name, key);
    }
  }
  return keys;
}

import { useEffect, useRef, useState } from 'preact/hooks';
import { pages } from '../virtual.ts';

const SIZE = 100;

export interface Paged<T> {
  rows: Map<number, T>;
  total: number | null;
  error: unknown;
  want: (first: number, end: number) => void;
  reload: () => void;
}

/** Rows that are fetched as they come into sight. `rev` changes when they have to be read again. */
export function usePaged<T>(
  fetchPage: (offset: number, limit: number) => Promise<{ rows: T[]; total?: number }>,
  known: number | null,
  rev: unknown,
): Paged<T> {
  const [rows, setRows] = useState<Map<number, T>>(new Map());
  const [total, setTotal] = useState<number | null>(known);
  const [error, setError] = useState<unknown>(null);
  const [round, setRound] = useState(0);
  const asked = useRef(new Set<number>());
  const seen = useRef<[number, number]>([0, 1]);
  const generation = useRef(0);

  const load = async (page: number) => {
    if (asked.current.has(page)) {
      return;
    }
    asked.current.add(page);
    const mine = generation.current;
    try {
      const got = await fetchPage(page * SIZE, SIZE);
      if (mine !== generation.current) {
        return;
      }
      setRows((old) => {
        const next = new Map(old);
        got.rows.forEach((row, i) => next.set(page * SIZE + i, row));
        return next;
      });
      if (got.total !== undefined) {
        setTotal(got.total);
      }
      setError(null);
    } catch (failure) {
      asked.current.delete(page);
      setError(failure);
    }
  };

  const want = (first: number, end: number) => {
    seen.current = [first, end];
    pages(first, end, SIZE).forEach((page) => void load(page));
  };

  useEffect(() => {
    generation.current += 1;
    asked.current = new Set();
    void Promise.all(pages(seen.current[0], Math.max(1, seen.current[1]), SIZE).map(load));
  }, [rev, round]);

  useEffect(() => {
    if (known !== null) {
      setTotal(known);
    }
  }, [known]);

  return { rows, total, error, want, reload: () => setRound((n) => n + 1) };
}

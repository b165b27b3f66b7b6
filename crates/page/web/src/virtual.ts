// A list of thousands of tiles, of which those in sight are in the document.

export interface Part {
  /** Index of the first tile, and of the one after the last. */
  first: number;
  end: number;
  /** Pixels above and below them. */
  above: number;
  below: number;
}

/** The tiles to show: `top` pixels of the list are above the window, which is `height` high. */
export function part(total: number, columns: number, row: number, top: number, height: number, spare = 3): Part {
  const across = Math.max(1, columns);
  const rows = Math.ceil(total / across);
  const from = Math.min(rows, Math.max(0, Math.floor(top / row) - spare));
  const to = Math.max(from, Math.min(rows, Math.ceil((top + height) / row) + spare));
  return {
    first: from * across,
    end: Math.min(total, to * across),
    above: from * row,
    below: (rows - to) * row,
  };
}

/** The pages of `size` rows that hold tiles `first` to `end`. */
export function pages(first: number, end: number, size: number): number[] {
  if (end <= first) {
    return [];
  }
  const list: number[] = [];
  for (let page = Math.floor(first / size); page <= Math.floor((end - 1) / size); page += 1) {
    list.push(page);
  }
  return list;
}

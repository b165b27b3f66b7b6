// The names in a zip file, so that one sees what would be imported before it is sent.

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LONGEST_END = 22 + 65535;

/** The names in a zip's directory; none if it is no zip that can be read. */
export async function names(file: Blob): Promise<string[]> {
  const tail = new DataView(await file.slice(Math.max(0, file.size - LONGEST_END)).arrayBuffer());
  for (let at = tail.byteLength - 22; at >= 0; at -= 1) {
    if (tail.getUint32(at, true) === END) {
      const size = tail.getUint32(at + 12, true);
      const start = tail.getUint32(at + 16, true);
      return directory(new DataView(await file.slice(start, start + size).arrayBuffer()));
    }
  }
  return [];
}

function directory(view: DataView): string[] {
  const text = new TextDecoder();
  const found: string[] = [];
  let at = 0;
  while (at + 46 <= view.byteLength && view.getUint32(at, true) === ENTRY) {
    const length = view.getUint16(at + 28, true);
    const extra = view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (at + 46 + length > view.byteLength) {
      break;
    }
    found.push(text.decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, length)));
    at += 46 + length + extra;
  }
  return found;
}

const PICTURE = /\.(jpe?g|png|webp|bmp|gif|tiff?)$/i;

/** Pictures by the folder that they lie in: what each folder would become. Pictures without a folder are under "". */
export function folders(paths: string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const path of paths) {
    if (PICTURE.test(path) && !path.startsWith('__MACOSX/')) {
      const parts = path.split('/');
      const folder = parts[parts.length - 2] ?? '';
      found.set(folder, (found.get(folder) ?? 0) + 1);
    }
  }
  return found;
}

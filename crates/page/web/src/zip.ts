// Zip files: what is in one, so that one sees it before it is sent, and one of many pictures, so that they are one import.

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

const LOCAL = 0x04034b50;
const UTF8 = 0x0800;

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let i = 0; i < 8; i += 1) {
    value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return value;
});

/** CRC-32 of ISO 3309, as zip files have it. */
export function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] ?? 0);
  }
  return ~crc >>> 0;
}

/** A zip of these files; pictures are packed already, so nothing is packed again. */
export async function pack(files: { path: string; file: Blob }[]): Promise<Blob> {
  const parts: BlobPart[] = [];
  const directory: BlobPart[] = [];
  let at = 0;
  let size = 0;
  for (const { path, file } of files) {
    const name = new TextEncoder().encode(path);
    // Version needed, flags, method, time, date, CRC, packed and whole size, length of name and of the rest.
    const common = new DataView(new ArrayBuffer(26));
    common.setUint16(0, 20, true);
    common.setUint16(2, UTF8, true);
    common.setUint16(8, 0x21, true);
    common.setUint32(10, crc32(new Uint8Array(await file.arrayBuffer())), true);
    common.setUint32(14, file.size, true);
    common.setUint32(18, file.size, true);
    common.setUint16(22, name.length, true);
    parts.push(numbers([4, LOCAL]), common.buffer, name, file);
    directory.push(numbers([4, ENTRY], [2, 20]), common.buffer, numbers([2, 0], [2, 0], [2, 0], [4, 0], [4, at]), name);
    at += 30 + name.length + file.size;
    size += 46 + name.length;
  }
  const count = files.length;
  return new Blob([...parts, ...directory, numbers([4, END], [4, 0], [2, count], [2, count], [4, size], [4, at], [2, 0])]);
}

/** Numbers of two or four bytes, the lowest first. */
function numbers(...list: [2 | 4, number][]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(list.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of list) {
    if (bytes === 2) {
      view.setUint16(at, value, true);
    } else {
      view.setUint32(at, value, true);
    }
    at += bytes;
  }
  return view.buffer;
}

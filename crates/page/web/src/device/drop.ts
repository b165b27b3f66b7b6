// Files and folders that were dropped, with their paths.

export interface Dropped {
  file: File;
  path: string;
}

export function isZip(file: { name: string; type: string }): boolean {
  return file.type === 'application/zip' || file.name.toLowerCase().endsWith('.zip');
}

export async function dropped(transfer: DataTransfer): Promise<Dropped[]> {
  // The list is emptied as soon as the event is over.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  const plain = [...transfer.files].map((file) => ({ file, path: file.name }));
  if (!entries.some((entry) => entry?.isDirectory)) {
    return plain;
  }
  const found: Dropped[] = [];
  for (const entry of entries) {
    if (entry) {
      await walk(entry, found);
    }
  }
  return found;
}

async function walk(entry: FileSystemEntry, found: Dropped[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ file, path: entry.fullPath.replace(/^\//, '') });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A folder is told in pieces.
    const piece = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (piece.length === 0) {
      return;
    }
    for (const child of piece) {
      await walk(child, found);
    }
  }
}

// Files and folders that were dropped.

/** Folders within folders, at most so deep: a link may lead back to where it stands. */
const DEEPEST = 40;

/** What was dropped; it must be asked for while the event is handled. */
export function droppedOn(data: DataTransfer): (FileSystemEntry | File)[] {
  return [...data.items]
    .filter(({ kind }) => kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile())
    .filter((one) => one !== null);
}

/** What systems put into folders by themselves, and no owner sees. */
export function isHidden(name: string): boolean {
  return name.startsWith(".") || name === "Thumbs.db" || name === "desktop.ini";
}

const names = new Intl.Collator(undefined, { numeric: true });

/** The files in what was dropped, folder by folder, a hundred or so at a time; `onUnreadable` hears what could not be read. */
export async function* filesIn(
  dropped: readonly (FileSystemEntry | File)[],
  onUnreadable: (name: string) => void,
  depth = 0,
): AsyncGenerator<File[]> {
  const files = await Promise.all(
    dropped.map((one) => {
      if (one instanceof File) return one;
      return one.isFile ? fileOf(one as FileSystemFileEntry).catch(() => onUnreadable(one.name)) : undefined;
    }),
  );
  const readable = files.filter((file) => file instanceof File);
  if (readable.length > 0) yield readable;
  if (depth >= DEEPEST) return;
  for (const one of dropped) {
    if (one instanceof File || !one.isDirectory) continue;
    try {
      for await (const entries of entriesOf(one as FileSystemDirectoryEntry)) yield* filesIn(entries, onUnreadable, depth + 1);
    } catch {
      onUnreadable(one.name);
    }
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((found, failed) => entry.file(found, failed));
}

/** A browser tells of a hundred at a time. */
async function* entriesOf(folder: FileSystemDirectoryEntry): AsyncGenerator<FileSystemEntry[]> {
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((found, failed) => reader.readEntries(found, failed));
    if (entries.length === 0) return;
    yield entries.filter(({ name }) => !isHidden(name)).sort((a, b) => names.compare(a.name, b.name));
  }
}

import { expect, test } from "vitest";
import { filesIn } from "./entries";

type Entry = FileSystemEntry;
const BATCH = 100;

function fileEntry(name: string): Entry {
  return { name, isFile: true, isDirectory: false, file: (found: (file: File) => void) => found(new File(["x"], name)) } as never;
}

function unreadable(name: string): Entry {
  const file = (_: unknown, failed: (error: Error) => void) => failed(new Error("no"));
  return { name, isFile: true, isDirectory: false, file } as never;
}

/** Tells of a hundred at a time, as browsers do. */
function folder(name: string, entries: () => Entry[]): Entry {
  const createReader = () => {
    const left = entries();
    return { readEntries: (found: (entries: Entry[]) => void) => found(left.splice(0, BATCH)) };
  };
  return { name, isFile: false, isDirectory: true, createReader } as never;
}

async function walk(...dropped: (Entry | File)[]): Promise<{ batches: string[][]; bad: string[] }> {
  const [batches, bad]: [string[][], string[]] = [[], []];
  for await (const files of filesIn(dropped, (name) => bad.push(name))) batches.push(files.map(({ name }) => name));
  return { batches, bad };
}

test("folders are walked through in batches, in the order of their names", async () => {
  const many = folder("many", () => Array.from({ length: 250 }, (_, number) => fileEntry(`${250 - number}.png`)));
  const { batches, bad } = await walk(new File(["x"], "alone.png"), many);
  expect(batches.map(({ length }) => length)).toEqual([1, 100, 100, 50]);
  expect(batches[1]!.slice(0, 2)).toEqual(["151.png", "152.png"]);
  expect(bad).toEqual([]);
});

test("what is in folders within folders is found, and what systems hide there is not", async () => {
  const inner = folder("inner", () => [fileEntry("deep.png"), fileEntry(".DS_Store"), fileEntry("Thumbs.db")]);
  const { batches } = await walk(folder("outer", () => [inner, folder(".git", () => [fileEntry("x")]), fileEntry("a.png")]));
  expect(batches).toEqual([["a.png"], ["deep.png"]]);
});

test("what cannot be read is told, and the rest is found", async () => {
  const broken = folder("broken", () => {
    throw new Error("no");
  });
  const { batches, bad } = await walk(folder("outer", () => [unreadable("b.png"), broken, fileEntry("a.png")]));
  expect(batches).toEqual([["a.png"]]);
  expect(bad).toEqual(["b.png", "broken"]);
});

test("a folder that leads back to itself has an end", async () => {
  const loop: Entry = folder("loop", () => [fileEntry("a.png"), loop]);
  const { batches } = await walk(loop);
  expect(batches.length).toBeLessThan(100);
});

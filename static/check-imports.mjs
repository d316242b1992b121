// Checks what the page's files import: a file imports from its own folder and from those before it in LAYERS, and no files import each
// other in a circle.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import ts from "typescript";

/** The folders of src/, from below. */
const LAYERS = [
  "lib",
  "api",
  "feed",
  "state",
  "components",
  "photo",
  "upload",
  "albums",
  "viewer",
  "studio",
  "library",
  "family",
  "models",
  "activity",
  "settings",
  "app",
];

const root = join(import.meta.dirname, "src");
const withSlashes = (path) => path.split(sep).join("/");
const files = readdirSync(root, { recursive: true })
  .map(withSlashes)
  .filter((name) => /\.tsx?$/.test(name) && name.includes("/"));
const known = new Set(files);

function importsOf(file) {
  const path = join(root, file);
  return ts
    .preProcessFile(readFileSync(path, "utf8"), true, true)
    .importedFiles.filter(({ fileName }) => fileName.startsWith("."))
    .map(({ fileName }) => withSlashes(relative(root, join(dirname(path), fileName))))
    .map((name) => [name, `${name}.ts`, `${name}.tsx`, `${name}.d.ts`].find((one) => known.has(one)))
    .filter((name) => name !== undefined);
}

const imports = new Map(files.map((file) => [file, importsOf(file)]));
const layerOf = (file) => LAYERS.indexOf(file.slice(0, file.indexOf("/")));
const faults = [];

for (const [file, targets] of imports) {
  if (layerOf(file) < 0) faults.push(`${file}: its folder is not in LAYERS`);
  for (const target of targets) if (layerOf(target) > layerOf(file)) faults.push(`${file} imports ${target}, of a layer above`);
}

/** Where no import leads upwards, a circle stays within one layer. */
const beside = (file) => imports.get(file).filter((target) => layerOf(target) === layerOf(file));
const done = new Set();
function findCircles(file, path) {
  if (path.includes(file)) faults.push(`a circle: ${[...path.slice(path.indexOf(file)), file].join(" → ")}`);
  else if (!done.has(file)) {
    for (const target of beside(file)) findCircles(target, [...path, file]);
    done.add(file);
  }
}
for (const file of files) findCircles(file, []);

process.stderr.write(faults.map((fault) => `${fault}\n`).join(""));
process.exitCode = faults.length === 0 ? 0 : 1;

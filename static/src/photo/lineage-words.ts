// What changed from a photo to the one made from it, in words.

import type { LineageChanges, LineageEdge } from "../api/types";
import { shorten } from "../lib/format";
import { getPhoto, photoName } from "../state/photos";

interface ChangeWords {
  kind: "added" | "removed" | "parameter";
  words: string;
}

const NAMES: Record<string, string> = { cfg_scale: "CFG scale", loras: "LoRAs", model_name: "model", model_key: "model" };
const INIT = "init image";
const STRENGTH = "strength";

function parameterName(name: string): string {
  return NAMES[name] ?? name.replaceAll("_", " ");
}

function valueWords(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(valueWords).join(", ");
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "object" && value !== null) return Object.values(value).map(valueWords).join(" ");
  return String(value);
}

function isNone(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0);
}

/** Width and height that changed both are told as one size. */
function withSize(parameters: LineageChanges["parameters"]): LineageChanges["parameters"] {
  const of = (name: string) => parameters.find((change) => change.name === name);
  const [width, height] = [of("width"), of("height")];
  if (!width || !height) return parameters;
  const size = { name: "size", before: `${width.before} × ${height.before}`, after: `${width.after} × ${height.after}` };
  return parameters.filter((change) => change !== height).map((change) => (change === width ? size : change));
}

/** "seed 1 → 2", "strength 0.6" where there was none before, "no LoRAs" where there is none now. */
function parameterWords({ name, before, after }: LineageChanges["parameters"][number]): string {
  const word = parameterName(name);
  if (isNone(after)) return `no ${word}`;
  return isNone(before) ? `${word} ${valueWords(after)}` : `${word} ${valueWords(before)} → ${valueWords(after)}`;
}

function textWords(change: LineageChanges["prompt"], of: string): ChangeWords[] {
  const added = change.added.join(" ");
  const removed = change.removed.join(" ");
  return [
    ...(added ? [{ kind: "added" as const, words: `${of}+ ${added}` }] : []),
    ...(removed ? [{ kind: "removed" as const, words: `${of}− ${removed}` }] : []),
  ];
}

/** All that changed, each in a few words; empty where nothing did, null where that is not known. */
export function changeWords(changes: LineageChanges | null): ChangeWords[] | null {
  if (changes === null) return null;
  return [
    ...textWords(changes.prompt, ""),
    ...textWords(changes.negative_prompt, "negative "),
    ...withSize(changes.parameters).map((change) => ({ kind: "parameter" as const, words: parameterWords(change) })),
  ];
}

const MOST = 60;

/** The label beside a picture of a family: what changed in short. A seed is told only where nothing else is. */
export function shortChange({ changes }: Pick<LineageEdge, "changes">): string {
  if (changes === null) return "";
  const parameters = changes.parameters.filter(({ name }) => name !== "seed");
  const words = changeWords({ ...changes, parameters })!.map(({ words }) => words);
  if (words.length > 0) return shorten(words.join(", "), MOST);
  return changes.parameters.length > 0 ? "other seed" : "the same settings";
}

/** What the source was, where it was not what the picture began from. */
export function roleWords(role: string): string | null {
  if (role === INIT) return null;
  return role === "image" ? "image" : role === "control" ? "control image" : role;
}

/** "made from a lake with strength 0.6; prompt + snow − summer; seed 1 → 2". */
export function madeFrom(source: string, role: string, changes: LineageChanges | null): string {
  return makingWords(`made from ${source}`, role, changes);
}

/** "made into a lake with strength 0.6; prompt + snow − summer; seed 1 → 2". */
export function madeInto(made: string, role: string, changes: LineageChanges | null): string {
  return makingWords(`made into ${made}`, role, changes);
}

function makingWords(words: string, role: string, changes: LineageChanges | null): string {
  const as = roleWords(role);
  const strength = changes?.parameters.find(({ name }) => name === STRENGTH)?.after;
  const begin = [words, as === null ? "" : ` as ${as}`, isNone(strength) ? "" : ` with strength ${valueWords(strength)}`].join("");
  if (changes === null) return begin;
  const prompt = textWords(changes.prompt, "").map(({ words }) => words);
  const negative = textWords(changes.negative_prompt, "").map(({ words }) => words);
  const others = withSize(changes.parameters)
    .filter(({ name }) => name !== STRENGTH)
    .map(parameterWords);
  return [
    begin,
    ...(prompt.length ? [`prompt ${prompt.join(" ")}`] : []),
    ...(negative.length ? [`negative prompt ${negative.join(" ")}`] : []),
    ...others,
  ].join("; ");
}

/** A photo of a family in a few words. */
export function nameOf(id: string): string {
  const photo = getPhoto(id)?.value;
  return photo ? shorten(photoName(photo), 50) : "a photo that is not here any more";
}

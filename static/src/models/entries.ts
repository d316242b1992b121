// The models of all servers as one list: each once, grouped, and searched.

import type { Model } from "../api/types";
import { baseName } from "../lib/format";
import type { Catalogue } from "../state/models";

/** A model, once, however many servers have it. */
export interface Entry {
  key: string;
  name: string;
  base: string | null;
  type: string;
  /** As each server has it; none where it is missing. */
  servers: readonly Model[];
}

/** Entries of one type and base. */
export interface Group {
  id: string;
  type: string;
  base: string | null;
  entries: readonly Entry[];
}

/** Keys differ between InvokeAI installations, hashes do not. */
export function entriesOf({ items, missing }: Catalogue): Entry[] {
  const found: { entry: Entry; servers: Model[] }[] = [];
  const byKey = new Map<string, (typeof found)[number]>();
  const byHash = new Map<string, (typeof found)[number]>();
  for (const model of items) {
    const { key, name, base, type, hash } = model;
    const identity = hash === "" ? null : `${type} ${hash}`;
    let one = byKey.get(key) ?? (identity === null ? undefined : byHash.get(identity));
    if (one === undefined) {
      const servers: Model[] = [];
      one = { entry: { key, name, base, type, servers }, servers };
      found.push(one);
    }
    one.servers.push(model);
    byKey.set(key, one);
    if (identity !== null) byHash.set(identity, one);
  }
  return [...found.map(({ entry }) => entry), ...missing.map((model) => ({ ...model, servers: [] }))];
}

/** Each word is found in the name, the base, the type, or a server's name. */
export function searchEntries(entries: readonly Entry[], text: string, serverName: (id: string) => string): readonly Entry[] {
  const words = plain(text).split(/\s+/).filter(Boolean);
  if (words.length === 0) return entries;
  return entries.filter((entry) => {
    const told = plain(wordsOf(entry, serverName));
    return words.every((word) => told.includes(word));
  });
}

function wordsOf({ name, base, type, servers }: Entry, serverName: (id: string) => string): string {
  const names = new Set(servers.flatMap((model) => [model.name, serverName(model.backend_id)]));
  const isMissing = servers.length === 0 ? "missing" : "";
  return [name, base ?? "", base === null ? "" : baseName(base), type, typeName(type), isMissing, ...names].join("\n");
}

/** Without case and accents. */
function plain(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

const TYPES: Record<string, string> = {
  main: "Main model",
  lora: "LoRA",
  control_lora: "Control LoRA",
  vae: "VAE",
  controlnet: "ControlNet",
  t2i_adapter: "T2I adapter",
  ip_adapter: "IP adapter",
  embedding: "Embedding",
  clip_vision: "CLIP vision model",
  clip_embed: "CLIP text encoder",
  t5_encoder: "T5 encoder",
  spandrel_image_to_image: "Upscaler",
  siglip: "SigLIP model",
  flux_redux: "FLUX Redux model",
  llava_onevision: "LLaVA model",
};
const ORDER = Object.keys(TYPES);

/** A type of models as its users write it. */
export function typeName(type: string): string {
  return TYPES[type] ?? type;
}

/** The models of a type together. */
export function typesName(type: string): string {
  return TYPES[type] ? `${TYPES[type]}s` : type;
}

function place(type: string): number {
  const at = ORDER.indexOf(type);
  return at < 0 ? ORDER.length : at;
}

function compareTypes(a: string, b: string): number {
  return place(a) - place(b) || typeName(a).localeCompare(typeName(b));
}

export function typesOf(entries: readonly Entry[]): string[] {
  return [...new Set(entries.map(({ type }) => type))].sort(compareTypes);
}

/** Main models first, then LoRAs; within a type by base, within a base by name. */
export function groupsOf(entries: readonly Entry[]): Group[] {
  const groups = new Map<string, Group & { entries: Entry[] }>();
  for (const entry of entries) {
    const { type, base } = entry;
    const id = `${type}/${base ?? ""}`;
    const group = groups.get(id);
    if (group) group.entries.push(entry);
    else groups.set(id, { id, type, base, entries: [entry] });
  }
  for (const group of groups.values()) group.entries.sort(byName);
  return [...groups.values()].sort((a, b) => compareTypes(a.type, b.type) || compareBases(a.base, b.base));
}

function byName(a: Entry, b: Entry): number {
  return a.name.localeCompare(b.name, undefined, { numeric: true }) || (a.key < b.key ? -1 : 1);
}

/** Those whose base is not known come last. */
function compareBases(a: string | null, b: string | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return baseName(a).localeCompare(baseName(b));
}

/** "1,234 photos", "More than 10,000 photos". */
export function photosWords(count: number, more: boolean): string {
  const many = new Intl.NumberFormat().format(count);
  return more ? `More than ${many} photos` : `${many} ${count === 1 ? "photo" : "photos"}`;
}

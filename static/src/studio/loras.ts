// The LoRAs of a draft, found again at the chosen model's server.

import type { Model, StepParameters } from "../api/types";
import { baseName } from "../lib/format";

/** A LoRA of a draft. It keeps what finds it on another server too, where its key is another. */
export interface ChosenLora {
  key: string | null;
  hash: string | null;
  name: string | null;
  base: string | null;
  weight: number;
}

export type SentLora = NonNullable<StepParameters["loras"]>[number];

/** The LoRA as the model's server has it, or in words why it is left out. */
type Fit = { lora: Model; why: null } | { lora: null; why: string };

/** As many as InvokeAI's batch takes from Darkroom. */
export const MOST_LORAS = 20;
export const HEAVIEST = 10;
const USUAL_WEIGHT = 0.75;
const MOST_FOUND = 50;

/** A LoRA that was picked, at its own weight if it tells one. */
export function chosenLora(lora: Model): ChosenLora {
  const { key, hash, name, base } = lora;
  const weight = lora.default_settings?.weight;
  return { key, hash, name, base, weight: isWeight(weight) ? weight : USUAL_WEIGHT };
}

function isWeight(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= HEAVIEST;
}

/** The LoRAs that work with this model: those of its base, on its server. */
export function lorasFor(model: Model, loras: readonly Model[]): Model[] {
  return loras.filter(({ backend_id, base }) => backend_id === model.backend_id && base === model.base);
}

/** By its key, else by its checksum, else by its name: keys differ between servers, and names between owners. */
function find(chosen: ChosenLora, among: readonly Model[]): Model | undefined {
  const name = plain(chosen.name ?? "");
  return (
    among.find(({ key }) => key === chosen.key) ??
    among.find(({ hash }) => hash !== "" && hash === chosen.hash) ??
    among.find((lora) => name !== "" && plain(lora.name) === name)
  );
}

export function fitOf(chosen: ChosenLora, model: Model, loras: readonly Model[]): Fit {
  const lora = find(chosen, lorasFor(model, loras));
  if (lora) return { lora, why: null };
  const elsewhere = find(chosen, loras);
  const base = elsewhere?.base ?? chosen.base;
  if (base !== null && base !== model.base) {
    return { lora: null, why: `Left out: it is for ${baseName(base)}, and the model is ${baseName(model.base)}.` };
  }
  return { lora: null, why: elsewhere ? "Left out: the model's server does not have it." : "Left out: no server has it." };
}

/** A LoRA's name, as the draft or any server tells it. */
export function loraName(chosen: Pick<ChosenLora, "key" | "name">, loras: readonly Model[]): string {
  return loras.find(({ key }) => key === chosen.key)?.name ?? chosen.name ?? "A LoRA that no server has";
}

/** What of a draft's LoRAs is sent: each that fits, once. */
export function sentLoras(chosen: readonly ChosenLora[], model: Model | undefined, loras: readonly Model[]): SentLora[] {
  if (!model) return [];
  const sent = new Map<string, number>();
  for (const one of chosen) {
    const { lora } = fitOf(one, model, loras);
    if (lora && !sent.has(lora.key)) sent.set(lora.key, one.weight);
  }
  return [...sent].map(([key, weight]) => ({ key, weight }));
}

/** The names of a draft's LoRAs that do not fit. */
export function leftOut(chosen: readonly ChosenLora[], model: Model, loras: readonly Model[]): string[] {
  return chosen.filter((one) => fitOf(one, model, loras).why !== null).map((one) => loraName(one, loras));
}

/** A step names its LoRAs by their keys alone. */
export function lorasOfStep({ loras: sent = [] }: StepParameters, loras: readonly Model[]): ChosenLora[] {
  return sent.map(({ key, weight = USUAL_WEIGHT }) => {
    const known = loras.find((lora) => lora.key === key);
    return { key, hash: known?.hash ?? null, name: known?.name ?? null, base: known?.base ?? null, weight };
  });
}

/** As photos tell of them: InvokeAI 3 said `lora` where later ones say `model`. */
export function lorasTold(told: unknown): ChosenLora[] {
  const entries: unknown[] = Array.isArray(told) ? told : [];
  return entries.flatMap((entry) => {
    const { model, lora, weight } = table(entry);
    const { key, hash, name, model_name, base, base_model } = table(model ?? lora);
    const found = { key: text(key), hash: text(hash), name: text(name) ?? text(model_name), base: text(base) ?? text(base_model) };
    if (found.key === null && found.hash === null && found.name === null) return [];
    return [{ ...found, weight: isWeight(weight) ? weight : USUAL_WEIGHT }];
  });
}

function table(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** Those in whose name or trigger phrases each word is found, but for those that are chosen; in the order of their names. */
export function searchLoras(words: string, among: readonly Model[], chosen: readonly ChosenLora[]): Model[] {
  const wanted = plain(words).split(/\s+/).filter(Boolean);
  const taken = new Set(chosen.map((one) => find(one, among)));
  const isFound = (lora: Model) => {
    const told = plain([lora.name, ...(lora.trigger_phrases ?? [])].join("\n"));
    return wanted.every((word) => told.includes(word));
  };
  return among
    .filter((lora) => !taken.has(lora) && isFound(lora))
    .sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }))
    .slice(0, MOST_FOUND);
}

/** Without case and accents. */
function plain(words: string): string {
  return words.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim();
}

/** Whether the prompt has these words already. */
export function hasPhrase(prompt: string, phrase: string): boolean {
  const words = plain(phrase).replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{N}])${words}(?![\\p{L}\\p{N}])`, "u").test(plain(prompt));
}

export function withPhrase(prompt: string, phrase: string): string {
  const before = prompt.replace(/[\s,]+$/, "");
  return before === "" ? phrase : `${before}, ${phrase}`;
}

// A draft that begins with the words and numbers of a photo.

import type { Model, Photo } from "../api/types";
import { type Draft, modelId, USUAL_STRENGTH } from "./draft";
import { lorasTold, MOST_LORAS } from "./loras";
import { SCHEDULERS } from "./schedulers";

const EXTENSION = /\.(?:safetensors|ckpt|pth?|bin|gguf|sft)$/;
const LORA = /<(?:lora|lyco):[^<>]*>/g;
/** Programs in whose prompts LoRAs stand. */
const LORAS_IN_PROMPT = new Set<unknown>(["automatic1111", "fooocus"]);
/** Digits of a checksum that is not written whole, at least. */
const SHORTEST_HASH = 8;

/** Words and numbers of a photo with all that is known of its making, as a draft; not its seed, for another try shall be another picture. */
export function fromPhoto(photo: Photo, before: Draft, model: Model | undefined): Draft {
  const told = photo.generation_params ?? {};
  const size = sizeOf(told.width, told.height) ?? sizeOf(photo.width, photo.height);
  return {
    ...before,
    prompt: promptOf(photo),
    negative: photo.generation_negative_prompt ?? "",
    model: model ? modelId(model) : before.model,
    ...size,
    steps: isWhole(told.steps) && told.steps >= 1 ? told.steps : null,
    cfg: typeof told.cfg_scale === "number" && told.cfg_scale >= 1 ? told.cfg_scale : null,
    scheduler: SCHEDULERS.find(([value]) => value === told.scheduler)?.[0] ?? null,
    seed: null,
    source: photo.source_image_id,
    strength: isPortion(told.strength) ? told.strength : USUAL_STRENGTH,
    loras: lorasTold(told.loras).slice(0, MOST_LORAS),
    ownSize: false,
  };
}

/**
 * The model that made a photo, by its key, its checksum or its name; on the server that made it, where that has it.
 * Other programs name a model by its file.
 */
export function modelOf(photo: Photo, models: readonly Model[]): Model | undefined {
  const own = models.filter((model) => model.backend_id === photo.backend_id);
  const all = [...own, ...models];
  const name = photo.model_name && plainName(photo.model_name);
  return (
    all.find((model) => model.key === photo.model_key) ??
    all.find((model) => photo.model_hash !== null && isSameHash(photo.model_hash, model.hash)) ??
    all.find((model) => name && plainName(model.name) === name)
  );
}

function promptOf(photo: Photo): string {
  const prompt = photo.generation_prompt ?? "";
  if (!LORAS_IN_PROMPT.has(photo.generation_params?.taken_from)) return prompt;
  return prompt
    .replace(LORA, "")
    .replace(/(?:,[ \t]*)+,/g, ",")
    .replace(/^[\s,]+|[\s,]+$/g, "");
}

function sizeOf(width: unknown, height: unknown): { width: number; height: number } | null {
  return isSide(width) && isSide(height) ? { width, height } : null;
}

function isSide(value: unknown): value is number {
  return isWhole(value) && value >= 64 && value <= 4096 && value % 8 === 0;
}

function isPortion(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 1;
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value);
}

function plainName(name: string): string {
  return name.split(/[\\/]/).at(-1)!.trim().toLowerCase().replace(EXTENSION, "");
}

/** InvokeAI writes `algorithm:digits`, others the first ten digits or so of a SHA-256. */
function isSameHash(one: string, other: string): boolean {
  if (one === "" || one === other) return one !== "";
  const digits = one.toLowerCase().replace(/^sha256:/, "");
  const [algorithm, whole = ""] = other.toLowerCase().split(":");
  return algorithm === "sha256" && digits.length >= SHORTEST_HASH && whole.startsWith(digits);
}

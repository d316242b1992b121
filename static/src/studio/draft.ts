// What becomes the next step.

import type { Model, NewStep } from "../api/types";
import type { StepState } from "../state/steps";
import { type ChosenLora, lorasOfStep, sentLoras } from "./loras";

/** What the compose panel holds before it becomes a step. Empty numbers mean: as the model has it. */
export interface Draft {
  prompt: string;
  negative: string;
  /** `backend_id/key` of a model, or null before one is chosen. */
  model: string | null;
  width: number;
  height: number;
  batch: number;
  steps: number | null;
  cfg: number | null;
  scheduler: string | null;
  /** Null: a random one each time. */
  seed: number | null;
  /** The photo that it is made from, if it is made from one. */
  source: string | null;
  /** How much of the source changes, from 0 to 1. */
  strength: number;
  loras: readonly ChosenLora[];
  /** Its owner set width or height: they follow no source. */
  ownSize: boolean;
}

export const USUAL_STRENGTH = 0.75;

const LARGEST_SEED = 2 ** 32 - 1;

export const BLANK: Draft = {
  prompt: "",
  negative: "",
  model: null,
  width: 1024,
  height: 1024,
  batch: 4,
  steps: null,
  cfg: null,
  scheduler: null,
  seed: null,
  source: null,
  strength: USUAL_STRENGTH,
  loras: [],
  ownSize: false,
};

export function modelId(model: { backend_id: string; key: string }): string {
  return `${model.backend_id}/${model.key}`;
}

export function findModel(models: readonly Model[] | null, id: string | null): Model | undefined {
  return models?.find((model) => modelId(model) === id);
}

/** A step's words and numbers as a draft; not its seed, for another try shall be another picture. */
export function fromStep(step: StepState, before: Draft, loras: readonly Model[]): Draft {
  const { width, height, steps, cfg_scale, scheduler, strength } = step.parameters;
  return {
    prompt: step.prompt,
    negative: step.negative_prompt,
    model: step.backend_id ? `${step.backend_id}/${step.model_key}` : before.model,
    width: width ?? before.width,
    height: height ?? before.height,
    batch: step.batch_size,
    steps: steps ?? null,
    cfg: cfg_scale ?? null,
    scheduler: scheduler ?? null,
    seed: null,
    source: step.source_photo_id,
    strength: strength ?? USUAL_STRENGTH,
    loras: lorasOfStep(step.parameters, loras),
    ownSize: false,
  };
}

/** Why a draft cannot be sent, in words, and the field that is to be mended. */
export interface Flaw {
  field: keyof Draft;
  words: string;
}

export function flawOf(draft: Draft, model: Model | undefined): Flaw | null {
  if (draft.prompt.trim() === "") return { field: "prompt", words: "Write a prompt first." };
  if (!model) return { field: "model", words: "Choose a model first." };
  for (const field of ["width", "height"] as const) {
    const side = draft[field];
    if (!(side >= 64 && side <= 4096 && side % 8 === 0)) {
      return { field, words: "Width and height are multiples of 8, from 64 to 4096." };
    }
  }
  if (!(Number.isInteger(draft.batch) && draft.batch >= 1 && draft.batch <= 100)) {
    return { field: "batch", words: "A batch is 1 to 100 pictures." };
  }
  if (draft.steps !== null && !(Number.isInteger(draft.steps) && draft.steps >= 1)) {
    return { field: "steps", words: "Steps is a whole number from 1." };
  }
  if (draft.seed !== null && !(Number.isInteger(draft.seed) && draft.seed >= 0 && draft.seed <= LARGEST_SEED)) {
    return { field: "seed", words: `A seed is a whole number from 0 to ${LARGEST_SEED}.` };
  }
  if (draft.source !== null && !(draft.strength >= 0 && draft.strength <= 1)) {
    return { field: "strength", words: "Strength is a number from 0 to 1." };
  }
  return null;
}

/** `loras`: those of every server. What does not fit the model is not sent. */
export function toNewStep(draft: Draft, model: Model, parent: string | null, loras: readonly Model[]): NewStep {
  const { width, height, steps, cfg, scheduler, seed, source, strength } = draft;
  const sent = sentLoras(draft.loras, model, loras);
  return {
    prompt: draft.prompt.trim(),
    negative_prompt: draft.negative.trim(),
    model_key: model.key,
    model_hash: model.hash,
    model_name: model.name,
    backend_id: model.backend_id,
    batch_size: draft.batch,
    parent_id: parent,
    ...(source === null ? {} : { source_photo_id: source }),
    parameters: {
      width,
      height,
      ...(steps === null ? {} : { steps }),
      ...(cfg === null ? {} : { cfg_scale: cfg }),
      ...(scheduler === null ? {} : { scheduler }),
      ...(seed === null ? {} : { seed }),
      ...(source === null ? {} : { strength }),
      ...(sent.length === 0 ? {} : { loras: sent }),
    },
  };
}

/** `crypto.randomUUID` exists only on https and localhost; Darkroom is also used across a home network. */
export function randomUuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// What becomes of a draft's size and numbers when another model is chosen.

import type { Model } from "../api/types";
import { type Draft, modelId } from "./draft";
import { nativeSide, shapesOf } from "./shapes";

/** What belongs to a model: size and numbers. */
type Numbers = Pick<Draft, "width" | "height" | "steps" | "cfg" | "scheduler">;
type Size = Pick<Draft, "width" | "height">;

export interface ModelMemory {
  /** What each model had when another was chosen. */
  left: Record<string, Partial<Numbers>>;
  /** What the last change of model gave: what differs from it since was changed by hand. */
  given: Numbers | null;
}

export const NO_MEMORY: ModelMemory = { left: {}, given: null };

const GROUPS: readonly (readonly (keyof Numbers)[])[] = [["width", "height"], ["steps"], ["cfg"], ["scheduler"]];
/** Of a side, in pixels. */
export const LEAST = 64;
export const MOST = 4096;

function numbersOf({ width, height, steps, cfg, scheduler }: Draft): Numbers {
  return { width, height, steps, cfg, scheduler };
}

function setting(model: Model | undefined, name: string): unknown {
  return model?.default_settings?.[name] ?? null;
}

function numberSetting(model: Model | undefined, name: string): number | null {
  const value = setting(model, name);
  return typeof value === "number" ? value : null;
}

function defaultsOf(model: Model): Numbers {
  const side = nativeSide(model.base);
  const scheduler = setting(model, "scheduler");
  return {
    width: numberSetting(model, "width") ?? side,
    height: numberSetting(model, "height") ?? side,
    steps: numberSetting(model, "steps"),
    cfg: numberSetting(model, "cfg_scale"),
    scheduler: typeof scheduler === "string" ? scheduler : null,
  };
}

/** In pixels, of what a model usually makes. */
export function areaOf(model: Model | undefined): number {
  const { width, height } = model ? defaultsOf(model) : { width: nativeSide(undefined), height: nativeSide(undefined) };
  return width * height;
}

/** A draft with its first model, and that model's own size and numbers. */
export function withModel(draft: Draft, model: Model): Draft {
  return { ...draft, model: modelId(model), ...defaultsOf(model) };
}

/**
 * A draft with another model. What was the former model's own becomes the new model's own; what was chosen by hand
 * stays, a size at the new model's area. A model that is chosen again has again what it had, unless it was changed by
 * hand meanwhile. `from` is undefined where the former model has gone.
 */
export function changeModel(
  draft: Draft,
  from: Model | undefined,
  to: Model,
  memory: ModelMemory,
): { draft: Draft; memory: ModelMemory } {
  const now = numbersOf(draft);
  const { given } = memory;
  const newer = GROUPS.filter((group) => given !== null && group.some((name) => now[name] !== given[name])).flat();
  const left: ModelMemory["left"] = {};
  for (const [id, numbers] of Object.entries(memory.left)) left[id] = without(numbers, newer);
  const before = left[modelId(to)] ?? {};
  const next: Numbers = { ...carried(now, from, to), ...before };
  if (draft.model !== null) left[draft.model] = now;
  return { draft: { ...draft, model: modelId(to), ...next }, memory: { left, given: next } };
}

function without(numbers: Partial<Numbers>, names: readonly (keyof Numbers)[]): Partial<Numbers> {
  return Object.fromEntries(Object.entries(numbers).filter(([name]) => !names.includes(name as keyof Numbers)));
}

function carried(now: Numbers, from: Model | undefined, to: Model): Numbers {
  const were = from && defaultsOf(from);
  const own = defaultsOf(to);
  const keep = <T>(value: T, was: T | undefined, next: T): T => (value === null || value === was ? next : value);
  return {
    ...carriedSize(now, from, to),
    steps: keep(now.steps, were?.steps, own.steps),
    cfg: keep(now.cfg, were?.cfg, own.cfg),
    scheduler: keep(now.scheduler, were?.scheduler, own.scheduler),
  };
}

function carriedSize({ width, height }: Size, from: Model | undefined, to: Model): Size {
  const own = defaultsOf(to);
  const area = own.width * own.height;
  const were = from && defaultsOf(from);
  if (were && width === were.width && height === were.height) return { width: own.width, height: own.height };
  // The area of a model that has gone is not known: a size that is near the new one's is as good.
  const fits = were ? were.width * were.height === area : width * height > area / 2 && width * height < area * 2;
  if (fits) return { width, height };
  const shape = from ? shapesOf(from.base).findIndex(([, across, down]) => across === width && down === height) : -1;
  if (shape >= 0 && area === nativeSide(to.base) ** 2) {
    const [, across, down] = shapesOf(to.base)[shape]!;
    return { width: across, height: down };
  }
  const scale = Math.sqrt(area / (width * height));
  return { width: side(width * scale), height: side(height * scale) };
}

function side(pixels: number): number {
  return Math.min(MOST, Math.max(LEAST, Math.round(pixels / 8) * 8));
}

// What a step does differently from another, in words; and names of sessions.

import type { StepParameters } from "../api/types";
import { shorten } from "../lib/format";
import type { StepState } from "../state/steps";
import { SCHEDULERS } from "./schedulers";

const LONGEST_NAME = 40;

/** Parts between commas, or lines. */
function phrases(prompt: string): string[] {
  return prompt
    .split(/[,\n]/)
    .map((phrase) => phrase.trim())
    .filter(Boolean);
}

function capital(text: string): string {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("");
}

/** What a session that begins with this prompt is called: as many of its first phrases as fit. */
export function sessionName(prompt: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a name is one line
  const [first, ...others] = phrases(prompt.replace(/[\x00-\x09\x0b-\x1f]+/g, " ")).map((phrase) => phrase.replace(/\s+/g, " "));
  if (first === undefined) return "New session";
  let name = first;
  for (const other of others) {
    if ([...name, ", ", ...other].length > LONGEST_NAME) break;
    name = `${name}, ${other}`;
  }
  return capital(shorten(name, LONGEST_NAME));
}

function promptChange(now: string, before: string): string | null {
  if (now === before) return null;
  const had = new Set(phrases(before));
  const after = phrases(now);
  const added = after.filter((phrase) => !had.has(phrase));
  if (added.length && added.length < after.length) return `+ ${added.join(", ")}`;
  const removed = [...had].filter((phrase) => !after.includes(phrase));
  if (!added.length && removed.length) return `− ${removed.join(", ")}`;
  return now;
}

function negativeChange(now: string, before: string): string | null {
  const change = promptChange(now, before);
  if (change === null) return null;
  if (now === "") return "no negative prompt";
  return `negative prompt ${change}`;
}

function schedulerName(id: unknown): string {
  return SCHEDULERS.find(([known]) => known === id)?.[1] ?? String(id);
}

function parameterChanges(now: StepParameters, before: StepParameters): string[] {
  const changes: string[] = [];
  const isOther = (name: keyof StepParameters) => now[name] != null && before[name] != null && now[name] !== before[name];
  if (isOther("width") || isOther("height")) {
    changes.push(`size ${before.width} × ${before.height} → ${now.width} × ${now.height}`);
  }
  for (const [name, word] of [
    ["steps", "steps"],
    ["cfg_scale", "CFG"],
    ["strength", "strength"],
  ] as const) {
    if (isOther(name)) changes.push(`${word} ${before[name]} → ${now[name]}`);
  }
  if (isOther("scheduler")) changes.push(`${schedulerName(before.scheduler)} → ${schedulerName(now.scheduler)}`);
  if (JSON.stringify(now.loras ?? []) !== JSON.stringify(before.loras ?? [])) changes.push("other LoRAs");
  return changes;
}

function sourceChange(now: string | null, before: string | null): string | null {
  if (now === before) return null;
  if (now === null) return "from no source";
  return before === null ? "from a source" : "from another source";
}

/** What a step does differently from another, seed aside. Numbers follow the model, so with another model they go unsaid. */
function changesOf(step: StepState, other: StepState): string[] {
  const words = [
    promptChange(step.prompt, other.prompt),
    negativeChange(step.negative_prompt, other.negative_prompt),
    sourceChange(step.source_photo_id, other.source_photo_id),
    step.model_key === other.model_key ? null : `model ${step.model_name ?? step.model_key}`,
  ].filter((change) => change !== null);
  return step.model_key === other.model_key ? [...words, ...parameterChanges(step.parameters, other.parameters)] : words;
}

/** Does an older step beside this one do the same? */
export function isRepeated(step: StepState, steps: readonly StepState[]): boolean {
  return steps.some(
    (other) =>
      other.id !== step.id &&
      other.parent_id === step.parent_id &&
      other.position < step.position &&
      changesOf(step, other).length === 0,
  );
}

/** A step's label in the tree: what is other than in the step it branches from; a first step's is its prompt. */
export function whatChanged(step: StepState, parent: StepState | undefined, steps: readonly StepState[]): string {
  if (isRepeated(step, steps)) return "other seed";
  if (!parent) return shorten(step.prompt);
  const changes = changesOf(step, parent);
  if (changes.length) return shorten(changes.join(", "));
  return step.parameters.seed === parent.parameters.seed ? "the same settings" : "other seed";
}

/** A step's title: the first thing it does differently, else its prompt. */
export function stepTitle(step: StepState, parent: StepState | undefined): string {
  const change = parent && changesOf(step, parent)[0];
  return capital(change?.replace(/^[+−] /, "") ?? step.prompt);
}

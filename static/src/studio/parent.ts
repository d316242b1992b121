// Which step the next one branches from.

import type { Model } from "../api/types";
import type { StepState } from "../state/steps";
import { type Draft, modelId, USUAL_STRENGTH } from "./draft";
import { type SentLora, sentLoras } from "./loras";

type Find = (id: string | null) => StepState | undefined;

/** What the next step branches from, and in words why it is not the chosen step. */
export interface Branch {
  parent: StepState | null;
  why: string | null;
}

/** The next step's parent: the nearest completed step on the way from the chosen one to its root; a repeat stands beside it. */
export function branchOf(draft: Draft, model: Model | undefined, chosen: StepState, find: Find, loras: readonly Model[]): Branch {
  if (isRepeat(draft, model, chosen, loras)) {
    return {
      parent: nearestCompleted(find(chosen.parent_id), find),
      why: "Nothing is changed: made beside the chosen step.",
    };
  }
  const parent = nearestCompleted(chosen, find);
  return { parent, why: parent?.id === chosen.id ? null : notDone(chosen, parent) };
}

function notDone(chosen: StepState, parent: StepState | null): string {
  const failed = chosen.status === "failed" || chosen.status === "canceled";
  const words = failed
    ? `The chosen step ${chosen.status === "failed" ? "failed" : "was canceled"}`
    : "The chosen step is not done yet";
  return parent === null ? `${words}, and none before it is done.` : `${words}.`;
}

function nearestCompleted(step: StepState | undefined, find: Find): StepState | null {
  const seen = new Set<string>();
  for (let at = step; at !== undefined && !seen.has(at.id); at = find(at.parent_id)) {
    if (at.status === "completed") return at;
    seen.add(at.id);
  }
  return null;
}

/** Would it make more of the same? Seed and number of pictures make no difference. */
function isRepeat(draft: Draft, model: Model | undefined, step: StepState, loras: readonly Model[]): boolean {
  const { width, height, steps, cfg_scale, scheduler, strength } = step.parameters;
  const own = (name: string) => model?.default_settings?.[name];
  // An empty number means the model's own, which the step has been given since.
  const isSame = (value: unknown, name: string, made: unknown) =>
    made == null ? value === null : (value ?? own(name) ?? made) === made;
  const isSameModel =
    model !== undefined &&
    (step.backend_id === null ? model.key === step.model_key : modelId(model) === `${step.backend_id}/${step.model_key}`);
  return (
    isSameModel &&
    draft.prompt.trim() === step.prompt &&
    draft.negative.trim() === step.negative_prompt &&
    isSame(draft.width, "width", width) &&
    isSame(draft.height, "height", height) &&
    isSame(draft.steps, "steps", steps) &&
    isSame(draft.cfg, "cfg_scale", cfg_scale) &&
    isSame(draft.scheduler, "scheduler", scheduler) &&
    draft.source === step.source_photo_id &&
    (draft.source === null || draft.strength === (strength ?? USUAL_STRENGTH)) &&
    isSameLoras(sentLoras(draft.loras, model, loras), step.parameters.loras ?? [])
  );
}

function isSameLoras(one: readonly SentLora[], other: readonly SentLora[]): boolean {
  return one.length === other.length && one.every(({ key, weight }, at) => other[at]!.key === key && other[at]!.weight === weight);
}

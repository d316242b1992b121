import type { StepParameters } from "../api/types";
import type { StepState } from "../state/steps";

const NAMES: Record<keyof StepParameters, string> = {
  width: "width",
  height: "height",
  steps: "steps",
  cfg_scale: "cfg",
  scheduler: "scheduler",
  seed: "seed",
  strength: "strength",
  loras: "LoRAs",
};

const LONGEST = 48;

function phrases(prompt: string): string[] {
  return prompt
    .split(/[,\n]/)
    .map((phrase) => phrase.trim())
    .filter(Boolean);
}

export function shorten(text: string, longest = LONGEST): string {
  if (text.length <= longest) return text;
  const cut = text.slice(0, longest);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), longest * 0.6))}…`;
}

function promptChange(step: StepState, parent: StepState): string | null {
  if (step.prompt === parent.prompt) return null;
  const before = new Set(phrases(parent.prompt));
  const after = phrases(step.prompt);
  const added = after.filter((phrase) => !before.has(phrase));
  if (added.length && added.length < after.length) return `+ ${added.join(", ")}`;
  const removed = [...before].filter((phrase) => !after.includes(phrase));
  if (!added.length && removed.length) return `− ${removed.join(", ")}`;
  return step.prompt;
}

function parameterChanges(step: StepState, parent: StepState): string[] {
  const { width, height, ...rest } = step.parameters;
  const size = width !== parent.parameters.width || height !== parent.parameters.height;
  const others = (Object.keys(rest) as (keyof typeof rest)[])
    .filter((name) => name !== "seed" && name !== "loras" && rest[name] !== parent.parameters[name] && rest[name] !== undefined)
    .map((name) => `${NAMES[name]} ${String(rest[name])}`);
  return [...(size && width && height ? [`${width} × ${height}`] : []), ...others];
}

/** What a step does differently from the one it branches from. Numbers follow the model, so with another model they go unsaid. */
function changesOf(step: StepState, parent: StepState): string[] {
  const prompt = promptChange(step, parent);
  const model = step.model_key === parent.model_key ? null : step.model_name;
  return [...(prompt ? [prompt] : []), ...(model ? [model] : parameterChanges(step, parent))];
}

/** A step's label in the tree; a first step is its prompt. */
export function whatChanged(step: StepState, parent: StepState | undefined): string {
  if (!parent) return shorten(step.prompt);
  return shorten(changesOf(step, parent).join(", ")) || "again";
}

/** A step's title: the first thing it does differently, else its prompt. */
export function stepTitle(step: StepState, parent: StepState | undefined): string {
  const title = (parent && changesOf(step, parent)[0]?.replace(/^[+−] /, "")) ?? step.prompt;
  return title.charAt(0).toUpperCase() + title.slice(1);
}

import { toast } from "../lib/toasts";
import { draftOf } from "./kept-drafts";

/** Prompts to begin with, good on any base model. */
const EXAMPLES = [
  "a valley of layered hills at first light, low sun, mist between the ridges",
  "a small wooden cabin by a still lake, autumn forest, soft overcast light",
  "portrait of an old lighthouse keeper, weathered face, window light, film grain",
];

export function Examples({ onTake }: { onTake: (prompt: string) => void }) {
  return (
    <ul class="examples" aria-label="Example prompts">
      {EXAMPLES.map((prompt) => (
        <li key={prompt}>
          <button type="button" onClick={() => onTake(prompt)}>
            {prompt}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** Puts an example into the prompt; what was written there can be had back. */
export function takeExample(session: string, prompt: string): void {
  const draft = draftOf(session);
  const before = draft.peek();
  draft.value = { ...before, prompt };
  if (before.prompt.trim() === "" || before.prompt === prompt) return;
  toast("The example took the place of your prompt", {
    action: { label: "Undo", run: () => (draft.value = { ...draft.peek(), prompt: before.prompt }) },
  });
}

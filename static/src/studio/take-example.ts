import { toast } from "../app/toasts";
import { draftOf } from "./kept-drafts";

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

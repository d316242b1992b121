import { effect, untracked } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useLocation, useSearch } from "wouter-preact";
import type { Photo } from "../api/types";
import { toast } from "../lib/toasts";
import { useWholePhoto } from "../photo/use-photo";
import { models, modelsError } from "../state/models";
import { isHome } from "../state/photos";
import { getStep, stepsOf } from "../state/steps";
import { fromPhoto, modelOf } from "./from-photo";
import { draftOf, followStep, loadDraft, NEW, takeSource } from "./kept-drafts";
import { canGenerate } from "./model-field";
import { dismissArrival } from "./source-upload";

/** `/studio/…?source=…`: that photo is the source of what is made next. */
export function useSourceAddress(session: string, step: string | null, onTaken: () => void): void {
  const [path, navigate] = useLocation();
  const id = new URLSearchParams(useSearch()).get("source");
  const { photo, error } = useWholePhoto(id);
  const leave = () => navigate(path, { replace: true });

  useEffect(() => {
    if (id === null || error === null) return;
    toast(error, { tone: "bad" });
    leave();
  }, [id, error]);

  useEffect(() => {
    if (id === null || photo === null) return;
    let isTaken = false;
    return effect(() => {
      if (isTaken || (models.value === null && modelsError.value === null)) return;
      const ids = session === NEW ? [] : stepsOf(session).value;
      if (ids === null) return;
      // A first model is about to be chosen, and its own size would take the place of the source's.
      if (draftOf(session).value.model === null && (models.value ?? []).some(canGenerate)) return;
      isTaken = true;
      // The chosen step's words are in the draft before the source joins them.
      const chosen = getStep(step) ?? getStep(ids.at(-1));
      untracked(() => {
        if (chosen) followStep(session, chosen.peek());
        take(session, photo);
      });
      leave();
      onTaken();
    });
  }, [id, photo, session, step]);
}

/** Words and numbers of its making come along where the draft has no words. */
function take(session: string, photo: Photo): void {
  if (!isHome(photo)) return void toast("This photo is not home yet. It can be a source once it is.", { tone: "bad" });
  const draft = draftOf(session);
  const before = draft.peek();
  dismissArrival(draft);
  if (before.prompt.trim() === "" && photo.generation_prompt) {
    loadDraft(session, fromPhoto(photo, before, modelOf(photo, (models.peek() ?? []).filter(canGenerate))));
  }
  takeSource(draft, photo);
  if (before.source === null || before.source === photo.id) return;
  const { source, width, height, strength } = before;
  const undo = () => (draft.value = { ...draft.peek(), source, width, height, strength });
  toast("The photo took the place of the former source", { action: { label: "Undo", run: undo } });
}

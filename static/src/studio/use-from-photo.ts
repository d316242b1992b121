import { effect, untracked } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useLocation, useSearch } from "wouter-preact";
import type { Model, Photo } from "../api/types";
import { toast } from "../lib/toasts";
import { useWholePhoto } from "../photo/use-photo";
import { models, modelsError } from "../state/models";
import { fromPhoto, modelOf } from "./from-photo";
import { draftOf, isEdited, loadDraft, NEW } from "./kept-drafts";
import { canGenerate } from "./model-field";

/** `/studio/new?from=…`: the new session starts with the words and numbers of that photo. */
export function useFromPhoto(session: string, onTaken: () => void): void {
  const [, navigate] = useLocation();
  const asked = new URLSearchParams(useSearch()).get("from");
  const id = session === NEW ? asked : null;
  const { photo, error } = useWholePhoto(id);
  const leave = () => navigate(`/studio/${NEW}`, { replace: true });

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
      const usable = (models.value ?? []).filter(canGenerate);
      const model = modelOf(photo, usable);
      // A first model is about to be chosen, and its own numbers would take the place of the photo's.
      if (!model && usable.length > 0 && draftOf(NEW).value.model === null) return;
      isTaken = true;
      untracked(() => take(photo, model));
      leave();
      onTaken();
    });
  }, [id, photo]);
}

function take(photo: Photo, model: Model | undefined): void {
  const before = draftOf(NEW).peek();
  const wasWritten = isEdited(NEW) && before.prompt.trim() !== "";
  const undo = loadDraft(NEW, fromPhoto(photo, before, model));
  if (wasWritten) toast("The photo's settings took the place of your draft", { action: { label: "Undo", run: undo } });
  if (model || !photo.model_name) return;
  toast(`No server has the model ${photo.model_name}${before.model === null ? "" : ": another one is chosen"}`);
}

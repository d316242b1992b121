import type { Model } from "../api/types";
import { models } from "../state/models";
import { findModel, modelId } from "../studio/draft";
import { chooseModel, draftOf, NEW, startWithModel } from "../studio/kept-drafts";

/** Chooses the model in the draft of a new session, which keeps its words. */
export function generateWith(model: Model): void {
  const { model: before } = draftOf(NEW).peek();
  if (before === modelId(model)) return;
  if (before === null) startWithModel(NEW, model);
  else chooseModel(NEW, findModel(models.peek(), before), model);
}

// Which alternative of a step is selected.

import { signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import { toastFailure } from "../lib/toasts";
import { moment } from "./freshness";
import { putStep, type StepState } from "./steps";
import { offerUndo } from "./undo";

/** What was chosen here and is not answered yet, by step. */
const unanswered = signal<ReadonlyMap<string, { photo: string | null }>>(new Map());
/** Of each step, one request after the other: the last one stands. */
const turns = new Map<string, Promise<unknown>>();

/** The step's selection: its chosen alternative. */
export function selectionOf(step: StepState): string | null {
  const wanted = unanswered.value.get(step.id);
  return wanted === undefined ? step.selected_image_id : wanted.photo;
}

/** Selects an alternative, or none where it was the selection; a message offers to undo it. */
export function toggleSelection(step: StepState, photo: string): void {
  const former = selectionOf(step);
  const next = former === photo ? null : photo;
  const words = next === null ? "No picture is selected" : former === null ? "Selected" : "Selection changed";
  const undo = async () => ((await select(step.id, former)) ? 1 : 0);
  const outcome = select(step.id, next).then((done) => (done ? { changed: 1, undo } : null));
  // What fails is said by itself.
  const undone = (changed: number) => (changed > 0 ? "Undone: the selection is as before" : null);
  void offerUndo(outcome, () => words, { kind: `selection of ${step.id}`, undone });
}

/** Shows at once; false when it was refused, and is taken back. */
async function select(id: string, photo: string | null): Promise<boolean> {
  const one = { photo };
  unanswered.value = new Map(unanswered.peek()).set(id, one);
  const before = turns.get(id);
  const turn = (before ?? Promise.resolve()).catch(() => undefined).then(() => send(id, photo));
  turns.set(id, turn);
  try {
    await turn;
    return true;
  } catch (failure) {
    toastFailure("Not selected.", failure);
    return false;
  } finally {
    if (turns.get(id) === turn) turns.delete(id);
    if (unanswered.peek().get(id) === one) {
      const others = new Map(unanswered.peek());
      others.delete(id);
      unanswered.value = others;
    }
  }
}

async function send(id: string, photo: string | null): Promise<void> {
  const asked = moment();
  const path = { step_id: id };
  const request = api.PUT("/api/v1/steps/{step_id}/selection", { params: { path }, body: { photo_id: photo } });
  putStep(await answerOf(request), asked);
}

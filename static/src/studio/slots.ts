import type { Item } from "../api/types";
import { isLive } from "../state/items";
import { isStepLive, type StepState } from "../state/steps";

/** One place among a step's alternatives: a photo, the work that makes one, or both in turn. */
export interface Slot {
  /** Stays the same from waiting to picture, so that the one becomes the other. */
  key: string;
  photo: string | null;
  item: Item | null;
}

/** The work of one ordinal of one batch; InvokeAI's retry adds an item with the same ordinal. */
interface Turn {
  key: string;
  items: Item[];
  photos: string[];
}

function turnsOf(items: readonly Item[]): Turn[] {
  const batches = [...new Set(items.map((item) => item.batch_id))];
  const turns = new Map<string, Turn>();
  const inOrder = [...items].sort(
    (a, b) =>
      batches.indexOf(a.batch_id) - batches.indexOf(b.batch_id) || (a.ordinal ?? 0) - (b.ordinal ?? 0) || a.item_id - b.item_id,
  );
  for (const item of inOrder) {
    const key = `${batches.indexOf(item.batch_id)}-${item.ordinal ?? `item-${item.item_id}`}`;
    const turn = turns.get(key) ?? { key, items: [], photos: [] };
    turn.items.push(item);
    turns.set(key, turn);
  }
  return [...turns.values()];
}

/** Gives each photo to the work that made it, and returns those of which no work is known. */
function giveToTurns(photos: readonly string[], turns: readonly Turn[]): string[] {
  const unknown: string[] = [];
  for (const photo of photos) {
    const maker = turns.find((turn) => turn.items.some((item) => item.photo_ids.includes(photo)));
    (maker?.photos ?? unknown).push(photo);
  }
  return unknown;
}

/** What to show for a step, in its lasting order: pictures, work under way, work that is still wanted, and what failed. */
export function slotsOf(step: StepState, photos: readonly string[]): Slot[] {
  const turns = turnsOf(step.items);
  const unknown = giveToTurns(photos, turns);
  const live = isStepLive(step);
  const slots: Slot[] = unknown.map((id) => ({ key: id, photo: id, item: null }));
  let missing = step.batch_size - photos.length;
  const busy = new Set(step.items.filter(isLive).map((item) => item.batch_id));

  for (const turn of turns) {
    const item = turn.items.at(-1)!;
    for (const [index, id] of turn.photos.entries())
      slots.push({ key: index === 0 ? turn.key : `${turn.key}-${id}`, photo: id, item: null });
    if (turn.photos.length > 0) continue;
    const saving = item.status === "completed" && live;
    // Of an older batch nothing more comes: what it lacks is made by the newer one, if at all.
    const over = live && !saving && busy.has(item.batch_id);
    if (isLive(item) || saving || over) {
      slots.push({ key: turn.key, photo: null, item });
      missing -= 1;
    }
  }
  if (live) {
    const batches = new Set(step.items.map((item) => item.batch_id));
    const next = step.items.some((item) => isLive(item)) ? batches.size - 1 : batches.size;
    for (let index = 0; index < missing; index += 1) slots.push({ key: `${next}-${slots.length}`, photo: null, item: null });
    return slots;
  }
  const ended = turns.filter((turn) => turn.photos.length === 0 && turn.items.at(-1)!.status !== "completed");
  for (const turn of missing > 0 ? ended.slice(-missing) : []) slots.push({ key: turn.key, photo: null, item: turn.items.at(-1)! });
  return slots;
}

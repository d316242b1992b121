import { beforeEach, describe, expect, test } from "vitest";
import type { Item, Photo, Progress } from "../api/types";
import { furthest, itemOfPhoto, progressWords, putItem, replaceItems } from "./items";

function progress(percentage: number | null, message: string): Progress {
  return { percentage, message, device: null, eta_seconds: null, preview_url: null, width: null, height: null };
}

test("after the last step a picture is as far as it was, until another stretch begins", () => {
  const told = [
    progress(null, "Loading model"),
    progress(0.5, "Denoising"),
    progress(1, "Denoising"),
    progress(null, "Running VAE decoder"),
  ];
  const shown: Progress[] = [];
  for (const now of told) shown.push(furthest(shown.at(-1) ?? null, now));
  expect(shown.map(({ percentage }) => percentage)).toEqual([null, 0.5, 1, 1]);
  expect(shown.map(progressWords)).toEqual(["Loading model", "50 %", "100 %, finishing", "100 %, finishing"]);
  expect(furthest(shown.at(-1)!, progress(0.1, "Denoising")).percentage).toBe(0.1);
});

describe("the item of a photo", () => {
  const item = (item_id: number, status: Item["status"], ...photo_ids: string[]) =>
    ({ backend_id: "rtx", item_id, status, progress: null, started_at: null, completed_at: null, photo_ids }) as unknown as Item;
  const photo = (id: string) => ({ id, backend_id: "rtx", step_id: null }) as Photo;

  beforeEach(() => replaceItems([]));

  test("is the one that says so, while it is live and after it has ended", () => {
    replaceItems([item(1, "in_progress"), item(2, "in_progress")]);
    expect(itemOfPhoto(photo("a"))).toBeUndefined();
    putItem(item(2, "in_progress", "a"));
    expect(itemOfPhoto(photo("a"))).toBe("rtx/2");
    putItem(item(2, "completed", "a"));
    expect(itemOfPhoto(photo("a"))).toBe("rtx/2");
  });

  test("may be told after its end", () => {
    replaceItems([item(3, "in_progress")]);
    putItem(item(3, "completed"));
    putItem(item(3, "completed", "b"));
    expect(itemOfPhoto(photo("b"))).toBe("rtx/3");
  });
});

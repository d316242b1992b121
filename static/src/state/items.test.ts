import { expect, test } from "vitest";
import type { Progress } from "../api/types";
import { furthest, progressWords } from "./items";

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

import { signal } from "@preact/signals";
import { answerOf, api, reasonOf } from "../api/client";
import type { Model } from "../api/types";

/** The main models of every server; null before the first answer. */
export const models = signal<readonly Model[] | null>(null);
export const modelsError = signal<string | null>(null);

export async function loadModels(): Promise<void> {
  try {
    models.value = (await answerOf(api.GET("/api/v1/models", { params: { query: { type: ["main"] } } }))).items;
    modelsError.value = null;
  } catch (failure) {
    modelsError.value = reasonOf(failure);
  }
}

/** Asks every server again which models it has; resolves with why some could not be asked. */
export async function refreshModels(): Promise<string[]> {
  const { backends } = await answerOf(api.POST("/api/v1/models/refresh"));
  await loadModels();
  return Object.values(backends).filter((reason) => reason !== null);
}

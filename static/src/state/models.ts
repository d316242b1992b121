import { signal } from "@preact/signals";
import { api, reasonOf } from "../api/client";
import type { Model, ModelsRefreshed } from "../api/types";

/** The main models of every server; null before the first answer. */
export const models = signal<readonly Model[] | null>(null);
export const modelsError = signal<string | null>(null);

export async function loadModels(): Promise<void> {
  try {
    models.value = (await api.get<{ items: Model[] }>("/models", { type: "main" })).items;
    modelsError.value = null;
  } catch (failure) {
    modelsError.value = reasonOf(failure);
  }
}

/** Asks every server again which models it has; resolves with why some could not be asked. */
export async function refreshModels(): Promise<string[]> {
  const { backends } = await api.post<ModelsRefreshed>("/models/refresh");
  await loadModels();
  return Object.values(backends).filter((reason) => reason !== null);
}

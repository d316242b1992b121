// The models of all servers.

import { batch, signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { MissingModel, Model } from "../api/types";
import { reasonOf } from "../lib/format";
import { latestOnly } from "./freshness";

/** The main models of every server; null before the first answer. */
export const models = signal<readonly Model[] | null>(null);
/** The LoRAs of every server; they are read with the main models. */
export const loras = signal<readonly Model[]>([]);
export const modelsError = signal<string | null>(null);

const modelsRequest = latestOnly();
const catalogueRequest = latestOnly();

export async function loadModels(): Promise<void> {
  const isLatest = modelsRequest();
  try {
    const { items } = await answerOf(api.GET("/api/v1/models", { params: { query: { type: ["main", "lora"] } } }));
    if (!isLatest()) return;
    batch(() => {
      loras.value = items.filter(({ type }) => type === "lora");
      models.value = items.filter(({ type }) => type !== "lora");
      modelsError.value = null;
    });
  } catch (failure) {
    if (isLatest()) modelsError.value = reasonOf(failure);
  }
}

/** Asks every server again which models it has; resolves with why some could not be asked. */
export async function refreshModels(): Promise<string[]> {
  const { backends } = await answerOf(api.POST("/api/v1/models/refresh"));
  await loadModels();
  return Object.values(backends).filter((reason) => reason !== null);
}

export interface Catalogue {
  /** As each server has them: one that several have is there for each. */
  items: readonly Model[];
  /** Those that only photos and steps name. */
  missing: readonly MissingModel[];
}

/** The models of every type and server; null before the first answer. */
export const catalogue = signal<Catalogue | null>(null);
export const catalogueError = signal<string | null>(null);

export async function loadCatalogue(): Promise<void> {
  const isLatest = catalogueRequest();
  try {
    const query = { type: ["any"], missing: true };
    const { items, missing } = await answerOf(api.GET("/api/v1/models", { params: { query } }));
    if (!isLatest()) return;
    catalogue.value = { items, missing: missing ?? [] };
    catalogueError.value = null;
  } catch (failure) {
    if (isLatest()) catalogueError.value = reasonOf(failure);
  }
}

/** What was asked for before, also what was refused. */
export function loadCatalogueAgain(): void {
  if (catalogue.peek() !== null || catalogueError.peek() !== null) void loadCatalogue();
}

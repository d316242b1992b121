import { signal } from "@preact/signals";
import { answerOf, api, reasonOf } from "../api/client";
import type { MissingModel, Model } from "../api/types";

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
  try {
    const query = { type: ["any"], missing: true };
    const { items, missing } = await answerOf(api.GET("/api/v1/models", { params: { query } }));
    catalogue.value = { items, missing: missing ?? [] };
    catalogueError.value = null;
  } catch (failure) {
    catalogueError.value = reasonOf(failure);
  }
}

/** What was asked for before, also what was refused. */
export function loadCatalogueAgain(): void {
  if (catalogue.peek() !== null || catalogueError.peek() !== null) void loadCatalogue();
}

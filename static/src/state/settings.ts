import { computed, signal } from "@preact/signals";
import { answerOf, api, reasonOf } from "../api/client";
import type { RuntimeSettings } from "../api/types";

/** What the owner changes while Darkroom runs; null before the first answer. */
export const settings = signal<RuntimeSettings | null>(null);
export const settingsError = signal<string | null>(null);

/** How many days the trash keeps a photo, 0 for ever; null while it is not known. */
export const trashDays = computed(() => settings.value?.trash_days ?? null);

export async function loadSettings(): Promise<void> {
  try {
    settings.value = await answerOf(api.GET("/api/v1/settings"));
    settingsError.value = null;
  } catch (failure) {
    settingsError.value = reasonOf(failure);
  }
}

/** Rejects with the service's words when it does not take the value. */
export async function saveSetting(name: keyof RuntimeSettings, value: number | boolean): Promise<void> {
  settings.value = await answerOf(api.PATCH("/api/v1/settings", { body: { [name]: value } }));
}

import { computed, signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { EnvironmentOption, RuntimeSettings, Setting } from "../api/types";
import { reasonOf } from "../lib/format";
import { latestOnly } from "./freshness";

/** What the owner changes while Darkroom runs, as the service describes it; null before the first answer. */
export const describedSettings = signal<readonly Setting[] | null>(null);
/** What environment variables decide. */
export const environment = signal<readonly EnvironmentOption[]>([]);
export const settingsError = signal<string | null>(null);

/** Their values by name; null before the first answer. */
export const settings = computed(() =>
  describedSettings.value === null
    ? null
    : (Object.fromEntries(describedSettings.value.map(({ name, value }) => [name, value])) as RuntimeSettings),
);

/** How many days the trash keeps a photo, 0 for ever; null while it is not known. */
export const trashDays = computed(() => settings.value?.trash_days ?? null);

let saved = 0;
const request = latestOnly();

export async function loadSettings(): Promise<void> {
  const before = saved;
  const isLatest = request();
  try {
    const described = await answerOf(api.GET("/api/v1/settings/described"));
    if (!isLatest()) return;
    settingsError.value = null;
    // What was saved meanwhile may be newer.
    if (saved !== before && describedSettings.peek() !== null) return loadSettings();
    describedSettings.value = described.settings;
    environment.value = described.environment;
  } catch (failure) {
    if (isLatest()) settingsError.value = reasonOf(failure);
  }
}

/** What was asked for before, also what was refused. */
export function loadSettingsAgain(): void {
  if (describedSettings.peek() !== null || settingsError.peek() !== null) void loadSettings();
}

/** Rejects with the service's words when it does not take the value. */
export async function saveSetting(name: string, value: number | boolean): Promise<void> {
  const values: Record<string, unknown> = await answerOf(api.PATCH("/api/v1/settings", { body: { [name]: value } }));
  saved += 1;
  describedSettings.value =
    describedSettings.value?.map((one) => ({ ...one, value: (values[one.name] ?? one.value) as Setting["value"] })) ?? null;
}

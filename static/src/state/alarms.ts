// What is wrong, for the notes and marks on every page.

import { computed, effect } from "@preact/signals";
import { connection, isHeard } from "../feed/connection";
import { count } from "../lib/format";
import { hiddenAlarms } from "../lib/preferences";
import { type Alarm, rankAlarms, stillHidden } from "./alarm-rank";
import { backends, backendsKnown } from "./backends";
import { troubles } from "./health";
import { awayServers, podAlarms, serverAlarm } from "./server-alarm";

const failed = computed(() => backends.value.reduce((sum, { ledger }) => sum + ledger.failed, 0));

/** What is wrong, the worst first, hidden or not. */
export const alarms = computed(() =>
  rankAlarms({
    connection: connection.value,
    troubles: troubles.value,
    away: awayServers.value,
    pods: podAlarms.value,
    failed: failed.value,
  }),
);

effect(() => {
  if (isHeard.value && backendsKnown.value) hiddenAlarms.value = stillHidden(hiddenAlarms.peek(), alarms.value);
});

export function hide({ key, size }: Alarm): void {
  hiddenAlarms.value = { ...hiddenAlarms.peek(), [key]: size };
}

const OWN: Readonly<Record<string, string>> = {
  database_away: "Database away",
  database_read_only: "Database read-only",
  disk_full: "Disk full",
  disk_stalled: "Disk does not answer",
  no_permission: "Folder not writable",
  read_only: "Disk read-only",
  too_many_files: "Too many files open",
  wrong_folder: "Wrong data folder",
};

/** What is wrong with Darkroom itself or with a server, in as few words as the bar has room for. */
export const barAlarm = computed<{ word: string; tone: "warn" | "bad"; meaning: string; isServers: boolean } | null>(() => {
  const [own] = troubles.value;
  if (own) return { word: OWN[own.code] ?? "Disk trouble", tone: "bad", meaning: own.words, isServers: false };
  return serverAlarm.value && { ...serverAlarm.value, isServers: true };
});

/** Why somebody should look at the Activity page, in a few words; null when nothing asks for it. */
export const activityMark = computed<{ words: string; tone: "warn" | "bad" } | null>(() => {
  if (barAlarm.value !== null) return { words: barAlarm.value.word, tone: barAlarm.value.tone };
  return failed.value === 0 ? null : { words: `${count(failed.value, "photo")} failed to come home`, tone: "bad" };
});

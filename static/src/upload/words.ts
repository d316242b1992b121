// What is said of uploads.

import { bytes, count, duration, number } from "../lib/format";
import type { Hold } from "./queue";
import type { Sums } from "./tally";
import type { Status } from "./upload";

/** What goes on, in a few words. */
export function headline({ all, here, duplicates, unfinished }: Sums): string {
  if (unfinished > 0) return all === 1 ? "Uploading" : `Uploading ${number(all - unfinished + 1)} of ${number(all)}`;
  const uploaded = here - duplicates;
  if (uploaded === 0) return "Nothing uploaded";
  return uploaded === all ? `${number(all)} uploaded` : `${number(uploaded)} of ${number(all)} uploaded`;
}

/** What did not become a new photo, by its kind. */
export function exceptions({ duplicates, refused, failed, canceled }: Sums): string {
  const parts = [
    [duplicates, "already here"],
    [refused, "refused"],
    [failed, "failed"],
    [canceled, "canceled"],
  ] as const;
  return parts
    .filter(([many]) => many > 0)
    .map(([many, word]) => `${number(many)} ${word}`)
    .join(" · ");
}

/** How far it is, how fast, and how long it takes. */
export function speedWords({ portion, speed, secondsLeft }: Sums): string {
  const parts = [
    portion !== null && `${Math.floor(portion * 100)} %`,
    speed !== null && speed > 0 && `${bytes(Math.round(speed))}/s`,
    secondsLeft !== null && `${duration(secondsLeft)} left`,
  ];
  return parts.filter(Boolean).join(" · ");
}

/** Below the headline. */
export function detail(sums: Sums, hold: Hold | null): string {
  if (sums.unfinished === 0) return exceptions(sums);
  return hold ? hold.words : speedWords(sums);
}

/** What a reader hears: sums, not each file. */
export function spoken(sums: Sums, hold: Hold | null): string {
  if (sums.all === 0) return "";
  const said = exceptions(sums).replaceAll(" · ", ", ");
  if (sums.unfinished === 0) return `Uploads are over: ${headline(sums).toLowerCase()}${said && `, ${said}`}.`;
  if (hold) return `${count(sums.unfinished, "upload")}: ${hold.words}`;
  if (sums.unfinished === sums.all) return `Uploading ${count(sums.all, "file")}.`;
  return `${number(sums.all - sums.unfinished)} of ${count(sums.all, "upload")} over${said && `: ${said}`}.`;
}

/** What a row says of its file. */
export function stateOf(status: Status, size: number, sent: number): string {
  switch (status.at) {
    case "waiting":
      return status.words ?? `Waiting · ${bytes(size)}`;
    case "sending":
      return `${bytes(sent)} of ${bytes(size)}`;
    case "checking":
      return "Being checked";
    case "here":
      return status.duplicate ? "Already in the library" : `Uploaded · ${bytes(size)}`;
    case "canceled":
      return "Canceled";
    default:
      return status.words;
  }
}

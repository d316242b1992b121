// What the uploads add up to, and how fast they are.

import { hasEnded, type Status, type Upload } from "./upload";

/** How often speed and time left are told anew. */
export const TOLD_EVERY = 1_000;

export interface Sums {
  /** Files. */
  all: number;
  here: number;
  duplicates: number;
  refused: number;
  failed: number;
  canceled: number;
  /** Waiting or under way. */
  unfinished: number;
  /** Of all bytes that are not canceled; null where there are none. */
  portion: number | null;
  /** Bytes in a second. */
  speed: number | null;
  secondsLeft: number | null;
}

export const NOTHING: Sums = {
  all: 0,
  here: 0,
  duplicates: 0,
  refused: 0,
  failed: 0,
  canceled: 0,
  unfinished: 0,
  portion: null,
  speed: null,
  secondsLeft: null,
};

/** What all files of the queue add up to, without looking at each again. */
export class Tally {
  readonly speed = new Speed();
  readonly #counts = new Map<Status["at"], number>();
  #duplicates = 0;
  /** Bytes of files that are not canceled. */
  #wanted = 0;
  /** Of those, what has ended. */
  #done = 0;
  #told = { at: -TOLD_EVERY, speed: null as number | null, secondsLeft: null as number | null };

  add({ file, status }: Upload): void {
    this.#count(status.peek(), file.size, 1);
  }

  remove({ file, status }: Upload): void {
    this.#count(status.peek(), file.size, -1);
  }

  /** To be called before the status changes. */
  move(upload: Upload, to: Status): void {
    this.remove(upload);
    this.#count(to, upload.file.size, 1);
  }

  #count(status: Status, size: number, by: 1 | -1): void {
    this.#counts.set(status.at, this.#of(status.at) + by);
    if (status.at === "here" && status.duplicate) this.#duplicates += by;
    if (status.at === "canceled") return;
    this.#wanted += by * size;
    if (hasEnded(status)) this.#done += by * size;
  }

  #of(at: Status["at"]): number {
    return this.#counts.get(at) ?? 0;
  }

  /** `sent`: bytes of files that are under way. */
  sums(sent: number, now: number): Sums {
    const ended = {
      here: this.#of("here"),
      refused: this.#of("refused"),
      failed: this.#of("failed"),
      canceled: this.#of("canceled"),
    };
    const unfinished = this.#of("waiting") + this.#of("sending") + this.#of("checking");
    const done = this.#done + sent;
    if (unfinished === 0) this.#forget();
    else if (now - this.#told.at >= TOLD_EVERY) {
      const speed = this.speed.at(now);
      this.#told = { at: now, speed, secondsLeft: secondsFor(this.#wanted - done, speed) };
    }
    return {
      ...ended,
      all: ended.here + ended.refused + ended.failed + ended.canceled + unfinished,
      duplicates: this.#duplicates,
      unfinished,
      portion: this.#wanted > 0 ? Math.min(1, done / this.#wanted) : null,
      speed: this.#told.speed,
      secondsLeft: this.#told.secondsLeft,
    };
  }

  /** Nothing goes out: what went before says nothing of what comes after. */
  #forget(): void {
    this.speed.reset();
    this.#told = { at: -TOLD_EVERY, speed: null, secondsLeft: null };
  }
}

/** Over how long the speed is measured, in milliseconds. */
const WINDOW = 8_000;
/** Bytes that went out within so long are one sample. */
const SAMPLE = 250;
/** Before that nothing is said. */
const SHORTEST = 1_000;

/** How fast bytes go out, over the last few seconds. */
class Speed {
  #samples: { at: number; bytes: number }[] = [];

  /** So many more; none, where something begins to go out. */
  add(bytes: number, now: number): void {
    const last = this.#samples.at(-1);
    if (last && now - last.at < SAMPLE) last.bytes += bytes;
    else this.#samples.push({ at: now, bytes });
    this.#forget(now);
  }

  reset(): void {
    this.#samples = [];
  }

  /** Bytes in a second; null while that is not known. */
  at(now: number): number | null {
    this.#forget(now);
    const first = this.#samples[0];
    if (!first || now - first.at < SHORTEST) return null;
    // Those of the first sample went out before it.
    const bytes = this.#samples.reduce((sum, sample) => sum + sample.bytes, -first.bytes);
    return (bytes * 1_000) / (now - first.at);
  }

  #forget(now: number): void {
    const from = this.#samples.findIndex(({ at }) => now - at <= WINDOW);
    this.#samples.splice(0, from < 0 ? this.#samples.length : from);
  }
}

/** For what is left at this speed; null where that is not known. */
function secondsFor(bytes: number, speed: number | null): number | null {
  return speed === null || speed <= 0 || bytes <= 0 ? null : bytes / speed;
}

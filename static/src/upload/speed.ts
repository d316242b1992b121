/** Over how long the speed is measured, in milliseconds. */
const WINDOW = 8_000;
/** Bytes that went out within so long are one sample. */
const SAMPLE = 250;
/** Before that nothing is said. */
const SHORTEST = 1_000;

/** How fast bytes go out, over the last few seconds. */
export class Speed {
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

/** For what is left at this speed; null where nobody can say. */
export function secondsFor(bytes: number, speed: number | null): number | null {
  return speed === null || speed <= 0 || bytes <= 0 ? null : bytes / speed;
}

import { effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { queue } from "./uploads";
import { spoken } from "./words";

/** So often at most is a reader told how far it is. */
const EVERY_MS = 10_000;

/** What is said aloud of the uploads: when they begin, why they wait, how they ended, and how far they are now and then. */
export function useSpoken(): string {
  const [said, say] = useState("");
  useEffect(() => {
    let kind = "";
    let at = 0;
    return effect(() => {
      const sums = queue.sums.value;
      const hold = queue.hold.value;
      const next = sums.all === 0 ? "none" : sums.unfinished === 0 ? "over" : (hold?.kind ?? "going on");
      const now = performance.now();
      if (next === kind && (next !== "going on" || now - at < EVERY_MS)) return;
      kind = next;
      at = now;
      say(spoken(sums, hold));
    });
  }, []);
  return said;
}

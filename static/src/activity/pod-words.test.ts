import { describe, expect, it, test } from "vitest";
import type { Backend, BackendLedger, Pod } from "../api/types";
import { podWait, podWord } from "../state/pods";
import { clockWords, moneyParts, notHome, podSentence, stateOf } from "./pod-words";

const now = Date.parse("2026-11-29T12:20:30Z");

const calm: Pod = {
  state: "running",
  since: "2026-11-29T11:15:00Z",
  words: null,
  wanted: "running",
  cost_per_hour: 0.69,
  cost_run: 1.38,
  saved: 12.4,
  stop_refused: null,
  alarm: null,
  autostart: true,
  idle_minutes: 15,
  idle_since: null,
  next_try_at: null,
  give_up_at: null,
  asks_root: false,
  stopped_costs: null,
  provider: { kind: "runpod", pod_id: "p", port: 9090, api_url: "https://api.runpod.io/v2" },
};

function serverOf(pod: Partial<Pod>, state: Backend["state"] = "unreachable"): Backend {
  return { id: "s", name: "rtx", state, enabled: true, pod: { ...calm, ...pod } } as Backend;
}

describe("how a pod stands is said", () => {
  const noGpu = { state: "starting", words: "No free GPU on its host.", next_try_at: "2026-11-29T12:20:40Z" } as const;
  test.each<[Partial<Pod>, string]>([
    [{}, "Running for 1 h 5 min"],
    [{ state: "starting", since: "2026-11-29T12:18:00Z" }, "Starting for 2 min"],
    [noGpu, "No free GPU on its host: tried again every 30 s"],
    [{ state: "stopping", since: "2026-11-29T12:20:10Z" }, "Stopping for 20 s"],
    [{ state: "stopped", since: null }, "Stopped"],
    [{ words: "Its provider cannot be asked: HTTP 503" }, "Running for 1 h 5 min. Its provider cannot be asked: HTTP 503"],
    [{ state: "failed", words: "The pod was deleted at RunPod" }, "Failed: the pod was deleted at RunPod"],
    [{ state: "unknown" }, "Not known: the provider does not answer"],
    [{ state: "unknown", words: "HTTP 503 from RunPod" }, "Not known: HTTP 503 from RunPod"],
  ])("%j: %s", (pod, words) => expect(podSentence({ ...calm, ...pod }, now)).toBe(words));

  it("once, where an alarm says it too", () =>
    expect(podSentence({ ...calm, words: "The pod is locked", alarm: "It runs: the pod is locked" }, now)).toBe(
      "Running for 1 h 5 min",
    ));

  it("with the time of day of the reader, and the date where it was another day", () => {
    const at = (iso: string) => new Date(iso).toLocaleTimeString(undefined, { timeStyle: "short" });
    const until = "2026-11-29T12:32:00Z";
    expect(podSentence({ ...calm, ...noGpu, give_up_at: until }, now)).toMatch(`every 30 s until ${at(until)}`);
    const since = "2026-11-29T12:10:00Z";
    expect(podSentence({ ...calm, state: "stopped", since }, now)).toBe(`Stopped since ${at(since)}`);
    expect(podSentence({ ...calm, state: "stopped", since: "2026-11-20T12:10:00Z" }, now)).toContain("20");
  });

  it("is no lasting time when the reader's clock is behind", () =>
    expect(podSentence({ ...calm, since: "2026-11-29T13:00:00Z" }, now)).toBe("Running for 0 s"));
});

describe("the word beside the name", () => {
  it("is the pod's own, and of a pod that runs how its InvokeAI stands", () => {
    expect(stateOf(serverOf({ state: "stopped" }))).toEqual({ word: "Stopped", tone: "" });
    expect(stateOf(serverOf({}, "connected"))).toEqual({ word: "Running", tone: "ok" });
    expect(stateOf(serverOf({}, "unreachable"))).toEqual({ word: "Not reachable", tone: "bad" });
    expect(stateOf(serverOf({ state: "stopped" }, "disabled"))).toEqual({ word: "Switched off", tone: "" });
  });
});

describe("money", () => {
  it("is said per hour, of this run, and what was saved", () => {
    expect(moneyParts(calm)).toEqual(["$0.69/h", "$1.38 this run", "saved $12.40"]);
    expect(moneyParts({ ...calm, state: "stopped" })[1]).toBe("$1.38 last run");
    expect(moneyParts({ ...calm, state: "starting" })).toEqual(["$0.69/h", "saved $12.40"]);
  });

  it("is not free because the provider did not tell", () => {
    for (const cost_per_hour of [null, 0])
      expect(moneyParts({ ...calm, cost_per_hour, cost_run: 0, saved: 0 })).toEqual(["Price not known"]);
  });
});

describe("the idle clock", () => {
  const idle = (since: string | null, minutes = 15) => clockWords({ ...calm, idle_since: since, idle_minutes: minutes }, now);
  it("says how long it was idle, and of how long", () => {
    expect(idle("2026-11-29T12:14:00Z")).toBe("Idle for 6 of 15 min, then it is stopped.");
    expect(idle("2026-11-29T12:20:10Z")).toBe("Idle for 20 s of 15 min, then it is stopped.");
    expect(idle("2026-11-29T12:20:27Z", 0.1)).toBe("Idle for 3 of 6 s, then it is stopped.");
    expect(idle("2026-11-29T12:00:00Z")).toBe("Idle for 20 min. It is stopped once all it made is home.");
    expect(idle(null)).toBe("In use. When it was idle for 15 min, it is stopped.");
  });

  it("stands still where somebody else started it, and is over where it shall stop", () => {
    expect(clockWords({ ...calm, wanted: null }, now)).toContain("not stopped by itself");
    expect(clockWords({ ...calm, wanted: "stopped" }, now)).toContain("known to be home");
  });

  it("of a stopped pod says what starts it", () => {
    expect(clockWords({ ...calm, state: "stopped", wanted: null }, now)).toBe("A step for it starts it.");
    expect(clockWords({ ...calm, state: "stopped", wanted: null, autostart: false }, now)).toContain("by hand only");
    expect(clockWords({ ...calm, state: "stopped", wanted: "running" }, now)).toContain("once it runs");
  });
});

describe("why work waits for a pod", () => {
  test.each<[Partial<Pod>, string | null]>([
    [{ state: "starting" }, "Starting rtx"],
    [{ state: "starting", words: "No free GPU on its host" }, "Starting rtx: no free GPU on its host"],
    [{ state: "stopped", wanted: "running" }, "Starting rtx"],
    [{ state: "stopped", wanted: null }, "rtx is stopped: this starts it"],
    [{ state: "stopped", wanted: null, autostart: false }, "rtx is stopped: start it under Activity"],
    [{ state: "failed", words: "GPU count is 0" }, "rtx failed: GPU count is 0"],
    [{ state: "unknown" }, null],
  ])("%j: %s", (pod, words) => expect(podWait(serverOf(pod))).toBe(words));

  it("is nothing where it runs, or where the server is no pod", () => {
    expect(podWait(serverOf({}, "connected"))).toBeNull();
    expect(podWait({ ...serverOf({}), pod: null })).toBeNull();
    expect(podWord({ ...serverOf({}), pod: null })).toBeNull();
  });
});

describe("what is not home", () => {
  const home: BackendLedger = { expected: 5, made: 5, retrieved: 5, waiting: 0, failed: 0, gone: 0, home: true };
  it("is named, each with what becomes of it", () => {
    const words = notHome({ ...home, expected: 7, waiting: 2, failed: 1, home: false });
    expect(words.map((one) => one.split(" ").slice(0, 2).join(" "))).toEqual(["2 pictures", "1 picture", "2 pictures"]);
    expect(notHome(home)).toEqual([]);
    expect(notHome({ ...home, home: false })).toHaveLength(1);
  });
});

import { signal } from "@preact/signals";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Photo } from "../api/types";
import type { Answer } from "./answers";
import { AT_ONCE, MOST_ATTEMPTS, MOST_FILES, UploadQueue } from "./queue";

/** One that the test answers. */
interface Sent {
  name: string;
  onSent: (bytes: number) => void;
  answer: (answer: Answer) => Promise<void>;
  aborted: boolean;
}

const isReachable = signal(true);
const isOnline = signal(true);
const isSignedOut = signal(false);
const here = vi.fn();
let sent: Sent[];
let queue: UploadQueue;

function photo(id: string): Photo {
  return { id } as Photo;
}

const created: Answer = { kind: "here", photo: photo("p"), duplicate: false };
const duplicate: Answer = { kind: "here", photo: photo("p"), duplicate: true };
const broken: Answer = { kind: "broken", words: "The connection was lost.", sent: false };
const later = (seconds: number): Answer => ({ kind: "later", words: "The disk is full.", seconds });

function file(name: string, bytes = 100): File {
  return new File([new Uint8Array(bytes)], name);
}

function files(many: number): File[] {
  return Array.from({ length: many }, (_, number) => file(`${number + 1}`));
}

const states = () => queue.uploads.value.map(({ status }) => status.value.at);
const names = () => sent.map(({ name }) => name);
const one = (name: string) => queue.uploads.value.find((upload) => upload.file.name === name)!;

/** The last attempt at this file. */
function attempt(name: string): Sent {
  return sent.findLast((transfer) => transfer.name === name)!;
}

beforeEach(() => {
  vi.useFakeTimers();
  isReachable.value = isOnline.value = true;
  isSignedOut.value = false;
  here.mockReset();
  sent = [];
  queue = new UploadQueue({
    send: ({ name }, onSent) => {
      let settle: (answer: Answer) => void = () => undefined;
      const answer = new Promise<Answer>((resolve) => (settle = resolve));
      const own: Sent = {
        name,
        onSent,
        aborted: false,
        answer: async (given) => {
          settle(given);
          await vi.advanceTimersByTimeAsync(0);
        },
      };
      sent.push(own);
      return { answer, abort: () => (own.aborted = true) };
    },
    isReachable,
    isOnline,
    isSignedOut,
    onSignedOut: () => (isSignedOut.value = true),
    onHere: here,
    frame: (draw) => void setTimeout(draw, 16),
    now: () => Date.now(),
  });
});
afterEach(() => vi.useRealTimers());

describe("the queue", () => {
  test("sends three at once, in the order they were added", async () => {
    queue.add(files(5));
    expect(names()).toEqual(["1", "2", "3"]);
    expect(states()).toEqual(["sending", "sending", "sending", "waiting", "waiting"]);
    await attempt("2").answer(created);
    expect(names()).toEqual(["1", "2", "3", "4"]);
    await attempt("1").answer(created);
    await attempt("3").answer(created);
    expect(names()).toEqual(["1", "2", "3", "4", "5"]);
    expect(AT_ONCE).toBe(3);
  });

  test("goes on past what is refused, and says why", async () => {
    queue.add(files(4));
    await attempt("1").answer({ kind: "refused", words: "This is no picture." });
    await attempt("2").answer(duplicate);
    await attempt("3").answer(created);
    await attempt("4").answer(created);
    expect(one("1").status.value).toEqual({ at: "refused", words: "This is no picture." });
    vi.advanceTimersByTime(20);
    expect(queue.sums.value).toMatchObject({ all: 4, here: 3, duplicates: 1, refused: 1, unfinished: 0, portion: 1 });
    expect(here).toHaveBeenCalledTimes(3);
    vi.advanceTimersByTime(600_000);
    expect(sent).toHaveLength(4);
  });

  test("does not send what is empty", () => {
    queue.add([file("empty", 0), file("good")]);
    expect(names()).toEqual(["good"]);
    expect(one("empty").status.value).toEqual({ at: "refused", words: "The file is empty." });
  });

  test("has a bound", () => {
    expect(queue.add(files(MOST_FILES + 5))).toBe(MOST_FILES);
    expect(queue.add(files(1))).toBe(0);
  });

  test("tries again what broke, later each time, after the others, and not for ever", async () => {
    queue.add(files(4));
    await attempt("1").answer(broken);
    expect(one("1").status.value).toMatchObject({ at: "waiting", words: expect.stringContaining("The connection was lost.") });
    expect(names()).toEqual(["1", "2", "3", "4"]);
    for (const name of ["2", "3", "4"]) await attempt(name).answer(created);
    const waits = [];
    for (let tries = 1; tries < MOST_ATTEMPTS; tries += 1) {
      const began = Date.now();
      while (sent.length < 4 + tries) await vi.advanceTimersByTimeAsync(100);
      waits.push(Math.round((Date.now() - began) / 1_000));
      await attempt("1").answer(broken);
    }
    expect(waits).toEqual([1, 2, 4, 8]);
    expect(one("1").status.value).toMatchObject({ at: "failed" });
    await vi.advanceTimersByTimeAsync(600_000);
    expect(sent).toHaveLength(4 + MOST_ATTEMPTS - 1);
    queue.retry(one("1"));
    await attempt("1").answer(created);
    expect(states()).toEqual(["here", "here", "here", "here"]);
  });

  test("waits while Darkroom cannot be reached, without counting, and goes on at once when it can", async () => {
    queue.add(files(5));
    isReachable.value = false;
    expect(queue.hold.value).toMatchObject({ kind: "offline" });
    for (const name of ["1", "2", "3"]) await attempt(name).answer(broken);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(sent).toHaveLength(3);
    isReachable.value = true;
    expect(queue.hold.value).toBeNull();
    expect(names().slice(3)).toEqual(["4", "5", "1"]);
    expect(one("1").attempts).toBe(0);
  });

  test("tries now and then where the browser knows of no network, without counting, and at once when there is one", async () => {
    isOnline.value = false;
    queue.add(files(2));
    for (const name of ["1", "2"]) await attempt(name).answer(broken);
    expect(queue.hold.value).toMatchObject({ kind: "offline" });
    for (let tries = 1; tries < 20; tries += 1) {
      await vi.advanceTimersByTimeAsync(5_000);
      expect(sent).toHaveLength(2 + tries);
      await sent.at(-1)!.answer(broken);
    }
    isOnline.value = true;
    expect(queue.hold.value).toBeNull();
    expect(states()).toEqual(["sending", "sending"]);
  });

  test("waits as long as Darkroom asks for, then finds out with one file, as often as it takes", async () => {
    queue.add(files(6));
    await attempt("1").answer(later(7));
    expect(queue.hold.value).toMatchObject({ kind: "busy", words: expect.stringContaining("The disk is full.") });
    // What was sent before does not end it.
    await attempt("2").answer(created);
    await attempt("3").answer(created);
    await vi.advanceTimersByTimeAsync(6_900);
    expect(sent).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(200);
    expect(names().slice(3)).toEqual(["4"]);
    for (let tries = 0; tries < 10; tries += 1) {
      await sent.at(-1)!.answer(later(5));
      await vi.advanceTimersByTimeAsync(5_100);
      expect(sent).toHaveLength(5 + tries);
    }
    await sent.at(-1)!.answer(created);
    expect(queue.hold.value).toBeNull();
    expect(states().filter((at) => at === "sending")).toHaveLength(3);
    expect(states()).not.toContain("failed");
  });

  test("asks for the password once, and goes on when it was given", async () => {
    queue.add(files(4));
    await attempt("1").answer({ kind: "signed-out" });
    expect(isSignedOut.value).toBe(true);
    expect(queue.hold.value).toMatchObject({ kind: "signed-out" });
    await attempt("2").answer({ kind: "signed-out" });
    await attempt("3").answer({ kind: "signed-out" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent).toHaveLength(3);
    isSignedOut.value = false;
    expect(names().slice(3)).toEqual(["4", "1", "2"]);
  });

  test("calls no duplicate what an attempt of its own brought here", async () => {
    queue.add(files(1));
    await attempt("1").answer({ ...broken, sent: true } as Answer);
    await vi.advanceTimersByTimeAsync(1_100);
    await attempt("1").answer(duplicate);
    expect(one("1").status.value).toMatchObject({ at: "here", duplicate: false });
  });
});

describe("by hand", () => {
  test("one is canceled under way, another before its turn; the rest goes on", async () => {
    queue.add(files(5));
    queue.cancel(one("2"));
    queue.cancel(one("5"));
    expect(attempt("2").aborted).toBe(true);
    expect(names()).toEqual(["1", "2", "3", "4"]);
    await attempt("2").answer(created);
    expect(states()).toEqual(["sending", "canceled", "sending", "sending", "canceled"]);
    expect(here).not.toHaveBeenCalled();
    queue.retry(one("2"));
    await attempt("1").answer(created);
    expect(names().at(-1)).toBe("2");
  });

  test("all are canceled, and tried again but for what was refused", async () => {
    queue.add(files(6));
    await attempt("1").answer({ kind: "refused", words: "No." });
    await attempt("2").answer(created);
    queue.cancelAll();
    expect(states()).toEqual(["refused", "here", "canceled", "canceled", "canceled", "canceled"]);
    expect(sent.filter(({ aborted }) => aborted).map(({ name }) => name)).toEqual(["3", "4", "5"]);
    expect(queue.unfinished).toBe(0);
    queue.retryAll();
    expect(states()).toEqual(["refused", "here", "sending", "sending", "sending", "waiting"]);
  });

  test("what is here is cleared, and in the end everything", async () => {
    queue.add(files(3));
    await attempt("1").answer(created);
    await attempt("2").answer({ kind: "refused", words: "No." });
    queue.clear();
    vi.advanceTimersByTime(20);
    expect(states()).toEqual(["refused", "sending"]);
    expect(queue.sums.value).toMatchObject({ all: 2, here: 0, refused: 1, unfinished: 1 });
    await attempt("3").answer(created);
    queue.clear(true);
    vi.advanceTimersByTime(20);
    expect(queue.sums.value).toMatchObject({ all: 0, refused: 0, portion: null });
  });
});

describe("progress", () => {
  test("is shown once a frame, however often it comes", () => {
    queue.add([file("a", 1_000)]);
    vi.advanceTimersByTime(20);
    const told = vi.fn();
    const end = queue.sums.subscribe(told);
    told.mockClear();
    for (let bytes = 1; bytes <= 500; bytes += 1) attempt("a").onSent(bytes);
    expect(one("a").shown.value).toBe(0);
    vi.advanceTimersByTime(16);
    expect(one("a").shown.value).toBe(500);
    expect(told).toHaveBeenCalledTimes(1);
    expect(queue.sums.value.portion).toBe(0.5);
    end();
  });

  test("says how fast it goes and how long it takes, of what is still to be sent", async () => {
    queue.add([file("a", 40_000), file("b", 60_000)]);
    for (let second = 0; second <= 4; second += 1) {
      attempt("a").onSent(second * 10_000);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(one("a").status.value.at).toBe("checking");
    const { speed, secondsLeft } = queue.sums.value;
    expect(speed).toBeGreaterThan(7_000);
    expect(speed).toBeLessThan(11_000);
    expect(secondsLeft).toBeCloseTo(60_000 / speed!, 3);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(queue.sums.value).toMatchObject({ speed: null, secondsLeft: null });
  });

  test("of an attempt that broke is taken back, and what is canceled does not count", async () => {
    queue.add([file("a", 100), file("b", 100)]);
    attempt("a").onSent(50);
    vi.advanceTimersByTime(20);
    expect(queue.sums.value.portion).toBe(0.25);
    await attempt("a").answer(broken);
    queue.cancel(one("b"));
    vi.advanceTimersByTime(20);
    expect(queue.sums.value.portion).toBe(0);
    attempt("a").onSent(50);
  });
});

import { expect, test } from "vitest";
import { readAnswer, secondsOf } from "./answers";
import type { Sums } from "./tally";
import { exceptions, headline, speedWords, spoken, stateOf } from "./words";

const error = (code: string, message: string) => JSON.stringify({ error: { code, message } });

test("a new photo, and one whose bytes were here already", () => {
  const photo = { id: "p", duplicate: false };
  expect(readAnswer(201, JSON.stringify(photo), null)).toEqual({ kind: "here", photo, duplicate: false });
  expect(readAnswer(200, '{"id": "p", "duplicate": true}', null)).toMatchObject({ kind: "here", duplicate: true });
});

test.each([400, 403, 404, 409, 413, 415, 422])("%d is final, in the service's words", (status) => {
  expect(readAnswer(status, error("code", "this is no picture"), null)).toEqual({ kind: "refused", words: "This is no picture." });
});

test("a proxy's own 413 is put into words", () => {
  expect(readAnswer(413, "<html>", null)).toEqual({ kind: "refused", words: "The file is too large." });
});

test.each([429, 503])("%d says when to come back", (status) => {
  expect(readAnswer(status, error("unavailable", "The disk is full."), "12")).toEqual({
    kind: "later",
    words: "The disk is full.",
    seconds: 12,
  });
});

test.each([408, 500, 502, 504])("%d is tried again", (status) => {
  expect(readAnswer(status, "", null)).toEqual({ kind: "broken", words: `Darkroom answered ${status}.`, sent: true });
});

test("without the password nothing is refused for good", () => {
  expect(readAnswer(401, error("unauthorized", "Log in"), null)).toEqual({ kind: "signed-out" });
});

test("an answer that is no photo is not taken for one", () => {
  for (const text of ["", "<html>", "null", "{}"]) expect(readAnswer(201, text, null)).toMatchObject({ kind: "broken" });
});

test("Retry-After is seconds or a date, within bounds", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  expect(secondsOf("30", now)).toBe(30);
  expect(secondsOf("Sun, 29 Nov 2026 12:00:20 GMT", now)).toBe(20);
  expect(secondsOf("0", now)).toBe(1);
  expect(secondsOf("86400", now)).toBe(300);
  expect(secondsOf(null, now)).toBe(5);
  expect(secondsOf("soon", now)).toBe(5);
});

const sums = (change: Partial<Sums>): Sums => ({
  all: 5,
  here: 0,
  duplicates: 0,
  refused: 0,
  failed: 0,
  canceled: 0,
  unfinished: 0,
  portion: null,
  speed: null,
  secondsLeft: null,
  ...change,
});

test("the sums in words", () => {
  expect(headline(sums({ here: 2, unfinished: 3 }))).toBe("Uploading 3 of 5");
  expect(headline(sums({ here: 5 }))).toBe("5 uploaded");
  const mixed = sums({ here: 3, duplicates: 1, refused: 2 });
  expect(headline(mixed)).toBe("2 of 5 uploaded");
  expect(exceptions(mixed)).toBe("1 already here · 2 refused");
  expect(spoken(mixed, null)).toBe("Uploads are over: 2 of 5 uploaded, 1 already here, 2 refused.");
  expect(spoken(sums({ unfinished: 5 }), null)).toBe("Uploading 5 files.");
  expect(spoken(sums({ here: 2, unfinished: 3 }), null)).toBe("2 of 5 uploads over.");
  expect(headline(sums({ all: 1, here: 1, duplicates: 1 }))).toBe("Nothing uploaded");
  expect(speedWords(sums({ portion: 0.481, speed: 2_300_000, secondsLeft: 80 }))).toBe("48 % · 2.3 MB/s · 1 min 20 s left");
  expect(speedWords(sums({ portion: 0 }))).toBe("0 %");
});

test("a file in words", () => {
  expect(stateOf({ at: "sending" }, 2_000_000, 1_000_000)).toBe("1.0 MB of 2.0 MB");
  expect(stateOf({ at: "refused", words: "The file is empty." }, 0, 0)).toBe("The file is empty.");
});

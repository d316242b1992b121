import { describe, expect, test } from "vitest";
import type { Photo } from "../api/types";
import { completions, countTags, MOST_TAGS, parseTags, withoutTags, withTags } from "./tags";

test("a comma ends a tag, blanks around it are none of it, and each counts once", () => {
  expect(parseTags(" sea , blue hour,, sea,")).toEqual(["sea", "blue hour"]);
  expect(parseTags("  ,")).toEqual([]);
  expect(parseTags("cafe\u0301")).toEqual(["café"]);
});

test("tags are added behind those there are, and taken out", () => {
  expect(withTags(["a", "b"], ["c", "a"])).toEqual(["a", "b", "c"]);
  expect(withoutTags(["a", "b", "c"], ["b", "x"])).toEqual(["a", "c"]);
});

test("a photo that would have too many keeps those it has", () => {
  const full = Array.from({ length: MOST_TAGS }, (_, number) => `tag ${number}`);
  expect(withTags(full, ["one more"])).toBe(full);
  expect(withTags(full, ["tag 7"])).toBe(full);
});

test("the most frequent tags come first", () => {
  const photos = [["sea"], ["sky", "sea"], ["air"]].map((tags) => ({ tags }) as unknown as Photo);
  expect(countTags(photos)).toEqual([
    ["sea", 2],
    ["air", 1],
    ["sky", 1],
  ]);
});

describe("what is typed", () => {
  const known = ["Hills", "blue hour", "hill country", "seahill"];
  test("is completed by tags that begin with it, in upper and lower case, then by those of which a word does", () => {
    expect(completions("hi", known, [], 6)).toEqual(["Hills", "hill country"]);
    expect(completions("HO", known, [], 6)).toEqual(["blue hour"]);
  });
  test("is not completed by what the photo has, or what is typed already", () => {
    expect(completions("hi", known, ["Hills"], 6)).toEqual(["hill country"]);
    expect(completions("Hills", known, [], 6)).toEqual([]);
  });
  test("is completed by so many at most", () => {
    expect(completions("", known, [], 2)).toEqual(["Hills", "blue hour"]);
  });
});

import { expect, test } from "vitest";
import { rearranged } from "../state/photo-list";
import { placeFor, type Where } from "./arrange";

const IDS = ["a", "b", "c", "d", "e"];

function moved(ids: readonly string[], chosen: readonly string[], where: Where): string {
  const before = placeFor(ids, new Set(chosen), where, false);
  const inOrder = ids.filter((id) => chosen.includes(id));
  return before === undefined ? "stays" : rearranged(ids, inOrder, before).join("");
}

test.each<[string, string[], Where, string]>([
  ["one earlier", ["c"], "earlier", "acbde"],
  ["the first cannot go earlier", ["a"], "earlier", "stays"],
  ["one later", ["c"], "later", "abdce"],
  ["one later, to the end", ["d"], "later", "abced"],
  ["the last cannot go later", ["e"], "later", "stays"],
  ["a block later", ["b", "c"], "later", "adbce"],
  ["scattered ones come together", ["b", "d"], "earlier", "bdace"],
  ["scattered ones from the front", ["a", "d"], "earlier", "adbce"],
  ["to the front", ["d", "b"], "first", "bdace"],
  ["at the front already", ["a", "b"], "first", "stays"],
  ["to the end", ["a", "c"], "last", "bdeac"],
  ["at the end already", ["e"], "last", "stays"],
  ["all of them", ["a", "b", "c", "d", "e"], "last", "stays"],
])("%s", (_, chosen, where, wanted) => {
  expect(moved(IDS, chosen, where)).toBe(wanted);
});

test("what follows is not guessed while it is not read", () => {
  expect(placeFor(IDS, new Set(["d"]), "later", true)).toBeUndefined();
  expect(placeFor(IDS, new Set(["e"]), "last", true)).toBeNull();
});

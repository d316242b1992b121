import { expect, test } from "vitest";
import { favoriteWords, flagWords, ratingWords, tagWords, untagWords } from "./mark-words";

test("one photo's change is told without a number", () => {
  expect(ratingWords(1, 1)).toBe("Rated 1 star");
  expect(ratingWords(4, 1)).toBe("Rated 4 stars");
  expect(ratingWords(0, 1)).toBe("Rating removed");
  expect(flagWords("pick", 1)).toBe("Picked");
  expect(flagWords("reject", 1)).toBe("Rejected");
  expect(flagWords(null, 1)).toBe("Flag removed");
  expect(favoriteWords(true, 1)).toBe("Added to the favourites");
  expect(tagWords(["sea", "sky"], 1)).toBe("Tagged “sea”, “sky”");
  expect(untagWords(["sea"], 1)).toBe("“sea” removed");
});

test("of several it is told how many they were", () => {
  expect(ratingWords(3, 12)).toBe("12 photos rated 3 stars");
  expect(ratingWords(0, 2)).toBe("Rating of 2 photos removed");
  expect(flagWords("reject", 2)).toBe("2 photos rejected");
  expect(flagWords(null, 2)).toBe("Flag of 2 photos removed");
  expect(favoriteWords(false, 2)).toBe("2 photos removed from the favourites");
  expect(tagWords(["sea"], 2)).toBe("2 photos tagged “sea”");
  expect(untagWords(["sea"], 2)).toBe("“sea” removed from 2 photos");
});

test("where nothing changed nothing is told", () => {
  for (const words of [ratingWords(3, 0), flagWords("pick", 0), favoriteWords(true, 0), tagWords(["a"], 0), untagWords(["a"], 0)])
    expect(words).toBeNull();
});

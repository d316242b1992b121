import { describe, expect, it } from "vitest";
import { diskUse } from "./disk-use";

describe("what large previews cost", () => {
  it("is measured, and said of what is still to come by the size of those there are", () => {
    expect(diskUse({ photos: 10, bytes: 2_000_000, missing: 0 }, true)).toBe("They take 2.0 MB on disk, for 10 photos.");
    expect(diskUse({ photos: 10, bytes: 2_000_000, missing: 5 }, true)).toBe(
      "They take 2.0 MB on disk, for 10 photos. 5 photos are still to be done: about 1.0 MB more.",
    );
  });

  it("is estimated where none is there", () => {
    expect(diskUse({ photos: 0, bytes: 0, missing: 20_000 }, false)).toBe("Kept, they would take about 2.0 GB.");
    expect(diskUse({ photos: 3, bytes: 300_000, missing: 1 }, false)).toBe(
      "They take 300 KB on disk, for 3 photos. They are being removed.",
    );
  });
});

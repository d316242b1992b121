import { describe, expect, it } from "vitest";
import type { Backend } from "../api/types";
import { isShown, rankAlarms, stillHidden } from "./alarm-rank";
import { lastSeen, nextAttempt } from "./backends";

const server = { id: "s", name: "rtx" } as Backend;
const calm = { connection: "live", troubles: [], away: [], pods: [], failed: 0 } as const;

describe("what is wrong", () => {
  it("is nothing when all is well, and while a server only connects", () => {
    expect(rankAlarms(calm)).toEqual([]);
    expect(rankAlarms({ ...calm, away: [{ server, state: "connecting" }] })).toEqual([]);
  });

  it("is told the worst first: Darkroom's own trouble, servers, photos, delays", () => {
    const all = rankAlarms({
      connection: "polling",
      troubles: [{ code: "disk_full", words: "The disk is nearly full." }],
      away: [{ server, state: "unreachable" }],
      pods: [],
      failed: 2,
    });
    expect(all.map(({ kind }) => kind)).toEqual(["health", "server", "photos", "polling"]);
    expect(all.map(({ words }) => words).slice(1, 3)).toEqual(["rtx cannot be reached.", "2 photos did not come home."]);
  });

  it("is a pod that costs although it should not, before a server that is away", () => {
    const pods = [{ server, words: "It runs although nothing wants it." }];
    const all = rankAlarms({ ...calm, away: [{ server, state: "unreachable" }], pods });
    expect(all.map(({ words }) => words)).toEqual(["rtx: It runs although nothing wants it.", "rtx cannot be reached."]);
  });

  it("is a pod that failed, by its own words, and it is not tried by reaching it", () => {
    const failed = { ...server, pod: { state: "failed", words: "The pod was deleted." } } as Backend;
    const [alarm] = rankAlarms({ ...calm, away: [{ server: failed, state: "unreachable" }] });
    expect(alarm).toMatchObject({ kind: "server", words: "rtx failed: the pod was deleted." });
    expect(alarm?.server).toBeUndefined();
  });

  it("is only that Darkroom does not answer, while it does not", () => {
    const offline = { ...calm, connection: "offline", away: [{ server, state: "unreachable" }], failed: 1 } as const;
    expect(rankAlarms(offline).map(({ kind }) => kind)).toEqual(["offline"]);
    const database = { ...offline, troubles: [{ code: "database_away", words: "The database does not answer." }] } as const;
    expect(rankAlarms(database).map(({ key }) => key)).toEqual(["database_away"]);
  });
});

describe("what was hidden", () => {
  const [two] = rankAlarms({ ...calm, failed: 2 });
  const [three] = rankAlarms({ ...calm, failed: 3 });

  it("stays hidden until it grows, and is forgotten when it is over", () => {
    const hidden = { photos: 2 };
    expect(isShown(two!, {})).toBe(true);
    expect(isShown(two!, hidden)).toBe(false);
    expect(isShown(three!, hidden)).toBe(true);
    expect(stillHidden(hidden, [two!])).toBe(hidden);
    expect(stillHidden(hidden, [])).toEqual({});
  });
});

describe("a server that is away", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");

  it("was last seen, and is tried again, at a time that is said", () => {
    expect(lastSeen({ last_seen_at: "2026-11-29T11:55:00Z" }, now)).toBe("Last seen 5 min ago.");
    expect(lastSeen({ last_seen_at: null }, now)).toBe("Never reached so far.");
    expect(nextAttempt({ next_attempt_at: "2026-11-29T12:00:12Z" }, now)).toBe("Tried again in 12 s.");
    expect(nextAttempt({ next_attempt_at: "2026-11-29T11:59:59Z" }, now)).toBe("Trying now…");
    expect(nextAttempt({ next_attempt_at: null }, now)).toBe("Trying now…");
  });
});

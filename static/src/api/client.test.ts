import { beforeEach, describe, expect, test, vi } from "vitest";

const asked = vi.fn<(request: Request) => Promise<Response>>();
vi.stubGlobal("fetch", asked);
const { answerOf, api, changes, signedOut } = await import("./client");

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}

beforeEach(() => {
  asked.mockReset();
  signedOut.value = false;
});

describe("a request", () => {
  test("repeats the name of each value, and leaves out what is null", async () => {
    asked.mockResolvedValue(json(200, { items: [] }));
    await api.GET("/api/v1/photos", {
      params: { query: { source: ["uploaded", "mirrored"], q: null, favorite: true, count: false } },
    });
    const url = new URL(asked.mock.calls[0]![0].url);
    expect(url.pathname).toBe("/api/v1/photos");
    expect(url.search).toBe("?source=uploaded&source=mirrored&favorite=true&count=false");
  });

  test("encodes what stands in a path", async () => {
    asked.mockResolvedValue(json(200, {}));
    await api.GET("/api/v1/photos/{photo_id}", { params: { path: { photo_id: "a/../b" } } });
    expect(new URL(asked.mock.calls[0]![0].url).pathname).toBe("/api/v1/photos/a%2F..%2Fb");
  });

  test("that changes something is counted at its beginning and its end, also when it fails", async () => {
    const before = changes.peek();
    asked.mockImplementationOnce(async () => {
      expect(changes.peek()).toBe(before + 1);
      return json(500, {});
    });
    await expect(api.POST("/api/v1/logout")).rejects.toThrow("Darkroom answered 500.");
    expect(changes.peek()).toBe(before + 2);
    asked.mockRejectedValueOnce(new TypeError("network"));
    await expect(api.POST("/api/v1/logout")).rejects.toThrow("Darkroom does not answer.");
    expect(changes.peek()).toBe(before + 4);
  });
});

describe("a refusal", () => {
  test("says the service's own words, with its code and details", async () => {
    asked.mockResolvedValue(json(409, { error: { code: "conflict", message: "It is in use", details: { waiting: 3 } } }));
    const request = answerOf(api.GET("/api/v1/status"));
    await expect(request).rejects.toMatchObject({
      status: 409,
      code: "conflict",
      message: "It is in use",
      details: { waiting: 3 },
    });
  });

  test("for want of the password signs the page out, but not at the login itself", async () => {
    asked.mockImplementation(async () => json(401, { error: { code: "unauthorized", message: "Wrong password" } }));
    await expect(api.POST("/api/v1/login", { body: { password: "wrong" } })).rejects.toThrow("Wrong password");
    expect(signedOut.value).toBe(false);
    await expect(api.GET("/api/v1/status")).rejects.toThrow();
    expect(signedOut.value).toBe(true);
  });
});

test("a request that was given up by the page fails with the abort, not as unreachable", async () => {
  const abort = new AbortController();
  asked.mockImplementation((request) => {
    abort.abort();
    return Promise.reject(request.signal.reason);
  });
  await expect(api.GET("/api/v1/status", { signal: abort.signal })).rejects.toMatchObject({ name: "AbortError" });
});

import { beforeEach, describe, expect, test, vi } from "vitest";

vi.stubGlobal("location", { origin: "http://darkroom.test" });
const answers = new Map<string, "invokeai" | "login">();
vi.stubGlobal("fetch", async (request: Request) => {
  const { url } = (await request.json()) as { url: string };
  if (answers.get(url) === "invokeai") return Response.json({ version: "6.14.2", multiuser: false, models: 3, known_as: null });
  const reason = answers.get(url) ?? "no_answer";
  const error = { code: "invokeai_connection_error", message: `${reason} at ${url}`, details: { reason } };
  return Response.json({ error }, { status: 502 });
});
const { findServer } = await import("./find-server");

const [PLAIN, SECURE] = ["http://gpu:9091", "https://gpu:9091"] as const;

beforeEach(() => answers.clear());

describe("of several addresses", () => {
  test("the likeliest at which InvokeAI answers counts", async () => {
    answers.set(SECURE, "invokeai");
    expect(await findServer([PLAIN, SECURE], null)).toMatchObject({ url: SECURE, reached: { models: 3 } });
    answers.set(PLAIN, "invokeai");
    expect(await findServer([PLAIN, SECURE], null)).toMatchObject({ url: PLAIN });
  });

  test("else one that wants a login, which is InvokeAI's", async () => {
    answers.set(SECURE, "login");
    expect(await findServer([PLAIN, SECURE], null)).toMatchObject({ url: SECURE, reason: "login" });
  });

  test("else the first is told, and where InvokeAI's own port answers", async () => {
    expect(await findServer([PLAIN, SECURE], null)).toMatchObject({ url: PLAIN, reason: "no_answer", instead: null });
    answers.set("http://gpu:9090", "invokeai");
    expect(await findServer([PLAIN, SECURE], null)).toMatchObject({ url: PLAIN, instead: "http://gpu:9090" });
  });
});

import { beforeEach, describe, expect, test, vi } from "vitest";
import { findServer } from "./find-server";

const answers = new Map<string, "invokeai" | "login" | "gateway">();
const sent: [string, unknown][] = [];
vi.stubGlobal("fetch", async (request: Request) => {
  const { url, gateway } = (await request.json()) as { url: string; gateway: { username?: string } | null };
  sent.push([url, gateway]);
  const isLetIn = answers.get(url) === "gateway" && gateway?.username === "me";
  if (answers.get(url) === "invokeai" || isLetIn)
    return Response.json({ version: "6.14.2", multiuser: false, models: 3, known_as: null });
  const reason = answers.get(url) ?? "no_answer";
  const error = { code: "invokeai_connection_error", message: `${reason} at ${url}`, details: { reason } };
  return Response.json({ error }, { status: 502 });
});

const [PLAIN, SECURE] = ["http://gpu:9091", "https://gpu:9091"] as const;

beforeEach(() => {
  answers.clear();
  sent.length = 0;
});

test("what a gateway wants to see is sent only where one answers", async () => {
  answers.set(SECURE, "gateway");
  expect(await findServer([PLAIN, SECURE], null)).toMatchObject({ url: SECURE, reason: "gateway" });
  sent.length = 0;
  const gateway = { username: "me", password: "secret" };
  expect(await findServer([PLAIN, SECURE], null, gateway)).toMatchObject({ url: SECURE, reached: { models: 3 } });
  expect(sent.filter(([, given]) => given !== null)).toEqual([[SECURE, gateway]]);
});

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

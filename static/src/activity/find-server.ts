import { ApiError, answerOf, api } from "../api/client";
import type { Reached } from "../api/types";
import { atUsualPort } from "./address";

interface Login {
  email: string;
  password: string;
}

/** What was found at an address: InvokeAI, or why not. */
export type Found =
  | { url: string; reached: Reached }
  | { url: string; reached: null; reason: string; words: string /** Where InvokeAI does answer. */; instead: string | null };

async function ask(url: string, login: Login | null): Promise<Found> {
  try {
    return { url, reached: await answerOf(api.POST("/api/v1/backends/test", { body: { url, credentials: login } })) };
  } catch (failure) {
    if (!(failure instanceof ApiError) || failure.code !== "invokeai_connection_error") throw failure;
    const { reason } = failure.details as { reason: string };
    return { url, reached: null, reason, words: failure.message, instead: null };
  }
}

/**
 * Asks at all of them at once. The likeliest that is InvokeAI counts, then one that wants a login, then the first. Where
 * none is, InvokeAI's own port is tried. Rejects where Darkroom itself does not answer.
 */
export async function findServer(candidates: readonly [string, ...string[]], login: Login | null): Promise<Found> {
  const found = await Promise.all(candidates.map((url) => ask(url, login)));
  const best = found.find((one) => one.reached !== null) ?? found.find((one) => one.reached === null && one.reason === "login");
  if (best) return best;
  const first = found[0]! as Extract<Found, { reached: null }>;
  const usual = atUsualPort(first.url);
  if (usual === null || candidates.includes(usual)) return first;
  return { ...first, instead: (await ask(usual, null)).reached === null ? null : usual };
}

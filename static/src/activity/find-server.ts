// Looks for InvokeAI at the addresses that were meant.

import { ApiError, answerOf, api } from "../api/client";
import type { GatewayGiven, Reached } from "../api/types";
import { atUsualPort } from "./address";

interface Login {
  email: string;
  password: string;
}

/** What was found at an address: InvokeAI, or why not. */
export type Found =
  | { url: string; reached: Reached }
  | { url: string; reached: null; reason: string; words: string /** Where InvokeAI does answer. */; instead: string | null };

async function ask(url: string, login: Login | null, gateway: GatewayGiven | null = null): Promise<Found> {
  try {
    return { url, reached: await answerOf(api.POST("/api/v1/backends/test", { body: { url, credentials: login, gateway } })) };
  } catch (failure) {
    if (!(failure instanceof ApiError) || failure.code !== "invokeai_connection_error") throw failure;
    const { reason } = failure.details as { reason: string };
    return { url, reached: null, reason, words: failure.message, instead: null };
  }
}

/**
 * Asks at all of them at once. The likeliest that is InvokeAI counts, then one that wants a login, then the first. Where
 * none is, InvokeAI's own port is tried. What the gateway wants to see is sent only where something answers that is not
 * InvokeAI; an authority's certificate is no secret. Rejects where Darkroom itself does not answer.
 */
export async function findServer(
  candidates: readonly [string, ...string[]],
  login: Login | null,
  gateway: GatewayGiven | null = null,
): Promise<Found> {
  const authority = gateway?.ca_pem ? { ca_pem: gateway.ca_pem } : null;
  const asked = await Promise.all(candidates.map((url) => ask(url, login, authority)));
  const isRefused = (one: Found) => one.reached === null && one.reason !== "no_answer";
  const found = await Promise.all(asked.map((one) => (gateway && isRefused(one) ? ask(one.url, login, gateway) : one)));
  const best =
    found.find((one) => one.reached !== null) ??
    found.find((one) => one.reached === null && (one.reason === "login" || one.reason === "gateway"));
  if (best) return best;
  const first = found[0]! as Extract<Found, { reached: null }>;
  const usual = atUsualPort(first.url);
  if (usual === null || candidates.includes(usual)) return first;
  return { ...first, instead: (await ask(usual, null)).reached === null ? null : usual };
}

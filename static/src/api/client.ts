// Requests to the service, typed by its OpenAPI document: a wrong path or body does not compile.

import { signal } from "@preact/signals";
import createClient from "openapi-fetch";
import { base } from "../lib/base";
import type { paths } from "./schema";

/** Why a request failed; `message` is fit to be shown. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: unknown = null,
  ) {
    super(message);
  }
}

/** True once a request was refused because it lacked the owner's password. */
export const signedOut = signal(false);

/** Rises when a request that changes something begins, and when it ends. */
export const changes = signal(0);

/** Where the feed stood when something was read, "epoch:seq"; null where that is not known, or nothing could be read. */
type ReadingListener = (position: string | null) => void;
let onReading: ReadingListener = () => undefined;

export function watchReadings(listener: ReadingListener): void {
  onReading = listener;
}

const TIMEOUT_MS = 30_000;

/** A `fetch` that gives up after this time. */
export function within(milliseconds: number): (request: Request) => Promise<Response> {
  return (request) => fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(milliseconds)]) });
}

async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string; details?: unknown } };
    return new ApiError(response.status, error.code, error.message, error.details);
  } catch {
    return new ApiError(response.status, "unexpected", `Darkroom answered ${response.status}.`);
  }
}

/**
 * Requests by their path, with types from the service's OpenAPI. They reject with ApiError; code `unreachable` when
 * Darkroom did not answer. Arrays in a query repeat their name; null is left out.
 */
export const api = createClient<paths>({ baseUrl: location.origin + base, fetch: within(TIMEOUT_MS) });

api.use({
  onRequest({ request }) {
    if (request.method !== "GET") changes.value += 1;
  },
  async onResponse({ request, response, schemaPath }) {
    if (request.method !== "GET") changes.value += 1;
    else if (schemaPath.startsWith("/api/v1/")) onReading(response.ok ? response.headers.get("Darkroom-Feed") : null);
    if (response.ok) return;
    if (response.status === 401 && schemaPath !== "/api/v1/login") signedOut.value = true;
    throw await refusal(response);
  },
  onError({ request, error, schemaPath }) {
    if (request.method !== "GET") changes.value += 1;
    if (request.signal.aborted) return error as Error;
    if (request.method === "GET" && schemaPath.startsWith("/api/v1/")) onReading(null);
    return new ApiError(0, "unreachable", "Darkroom does not answer. It may be stopped, or the network is down.");
  },
});

/** What a request of `api` was answered. */
export async function answerOf<T>(request: Promise<{ data?: T }>): Promise<NonNullable<T>> {
  return (await request).data as NonNullable<T>;
}

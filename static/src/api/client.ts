import { signal } from "@preact/signals";

/** Why a request was not answered as hoped; `message` is fit to be shown. */
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

/** True once any request was refused for want of the owner's password. */
export const signedOut = signal(false);

/** Rises when a request that changes something begins, and when it ends. */
export const changes = signal(0);

const BASE = "/api/v1";
const TIMEOUT_MS = 30_000;

type Query = Record<string, string | number | boolean | null | undefined | readonly string[]>;

export function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined) continue;
    if (typeof value === "object") for (const one of value) search.append(name, one);
    else search.append(name, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
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

/** One JSON request. Rejects with ApiError; code `unreachable` when Darkroom did not answer. */
async function send<T>(method: string, path: string, body?: unknown, signal?: AbortSignal, patience = TIMEOUT_MS): Promise<T> {
  const timeout = AbortSignal.timeout(patience);
  let response: Response;
  try {
    response = await fetch(BASE + path, {
      method,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(0, "unreachable", "Darkroom does not answer. It may be stopped, or the network is down.");
  }
  if (!response.ok) {
    if (response.status === 401 && path !== "/login") signedOut.value = true;
    throw await refusal(response);
  }
  return (response.status === 204 ? undefined : await response.json().catch(() => undefined)) as T;
}

async function change<T>(method: string, path: string, body?: unknown, patience?: number): Promise<T> {
  changes.value += 1;
  try {
    return await send<T>(method, path, body, undefined, patience);
  } finally {
    changes.value += 1;
  }
}

export const api = {
  get: <T>(path: string, query: Query = {}, signal?: AbortSignal) => send<T>("GET", withQuery(path, query), undefined, signal),
  post: <T>(path: string, body?: unknown) => change<T>("POST", path, body),
  patch: <T>(path: string, body: unknown) => change<T>("PATCH", path, body),
  delete: (path: string, patience?: number) => change<void>("DELETE", path, undefined, patience),
};

/** The words of any failure, fit to be shown. */
export function reasonOf(failure: unknown): string {
  return failure instanceof Error && failure.message ? failure.message : "Something went wrong.";
}

// The fields of a pod, and what the service is told of them.

import type { Backend, BackendKind, PodProvider, ProviderGiven } from "../api/types";

/** The kinds that a person can add. */
export type Kind = Exclude<BackendKind, "demo">;

/** What a pod's fields hold, as they were typed. */
export interface PodForm {
  apiKey: string;
  podId: string;
  port: string;
  apiUrl: string;
  start: string;
  stop: string;
  status: string;
  cost: string;
  idleMinutes: string;
  autostart: boolean;
}

export const RUNPOD_API = "https://api.runpod.io/v2";
const PORT = "9090";
const IDLE_MINUTES = "15";

const EMPTY: PodForm = {
  apiKey: "",
  podId: "",
  port: PORT,
  apiUrl: "",
  start: "",
  stop: "",
  status: "",
  cost: "",
  idleMinutes: IDLE_MINUTES,
  autostart: true,
};

/** The fields of a pod as it is; the api key is never told. */
export function podFormOf(server: Backend | null): PodForm {
  const pod = server?.pod;
  if (!pod) return EMPTY;
  const { provider } = pod;
  const own = { ...EMPTY, idleMinutes: String(pod.idle_minutes), autostart: pod.autostart };
  if (provider.kind === "runpod") return { ...own, podId: provider.pod_id, port: String(provider.port), apiUrl: provider.api_url };
  return {
    ...own,
    start: textOf(provider.start),
    stop: textOf(provider.stop),
    status: textOf(provider.status),
    cost: provider.cost_per_hour == null ? "" : String(provider.cost_per_hour),
  };
}

function textOf(command: readonly string[]): string {
  return command.join("\n");
}

/** One argument of each line. What was not changed stays as it was, also what no line can show. */
export function argumentsOf(text: string, before: readonly string[] = []): string[] {
  if (text === textOf(before)) return [...before];
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Where a pod's InvokeAI is found, unless another address is given. */
export function proxyAddress({ podId, port }: Pick<PodForm, "podId" | "port">): string {
  return `https://${podId.trim() || "pod-id"}-${port.trim() || PORT}.proxy.runpod.net`;
}

/** A number as it was typed, with a comma or a point; what is no number goes to the service as it is, and it says so. */
function numberOf(text: string): number | null {
  const value = Number(text.trim().replace(",", "."));
  return text.trim() === "" || Number.isNaN(value) ? null : value;
}

/** A field whose text is no number, and what is said of it. */
export function notNumbers(kind: Kind, form: PodForm): Flaw | null {
  const wanted: [string, string, boolean][] = [
    ["provider.port", form.port, kind === "runpod"],
    ["provider.cost_per_hour", form.cost, kind === "command" && form.cost.trim() !== ""],
    ["idle_minutes", form.idleMinutes, true],
  ];
  const found = wanted.find(([, text, isAsked]) => isAsked && numberOf(text) === null);
  return found ? { field: found[0], words: "This has to be a number." } : null;
}

/** What of `next` differs from `before`; of a pod that is new, what is filled in. */
function newOf<T extends object>(next: T, before: object | undefined): Partial<T> {
  const told = Object.entries(next).filter(([name, value]) => {
    const known = before?.[name as keyof typeof before] as unknown;
    if (before === undefined) return Array.isArray(value) || typeof value === "string" ? value.length > 0 : value !== null;
    return JSON.stringify(value) !== JSON.stringify(known);
  });
  return Object.fromEntries(told) as Partial<T>;
}

interface PodBody {
  idle_minutes: number;
  autostart: boolean;
  provider?: ProviderGiven;
}

/** What the service shall know of a pod: of one that is stored, what was changed. An empty api key leaves the one that is stored. */
export function podBody(kind: Kind, form: PodForm, before: PodProvider | undefined): PodBody {
  const common = { idle_minutes: numberOf(form.idleMinutes)!, autostart: form.autostart };
  const known = before?.kind === "command" ? before : undefined;
  const given =
    kind === "runpod"
      ? { pod_id: form.podId.trim(), port: numberOf(form.port)!, api_url: form.apiUrl.trim() || RUNPOD_API }
      : {
          start: argumentsOf(form.start, known?.start),
          stop: argumentsOf(form.stop, known?.stop),
          status: argumentsOf(form.status, known?.status),
          cost_per_hour: numberOf(form.cost),
        };
  const key = kind === "runpod" ? form.apiKey.trim() : "";
  const provider = { ...newOf(given, before), ...(key && { api_key: key }) };
  return before !== undefined && Object.keys(provider).length === 0 ? common : { ...common, provider };
}

/** What is wrong with one field of the form. */
export interface Flaw {
  field: string;
  words: string;
}

const FIELDS = [
  "provider.api_key",
  "provider.pod_id",
  "provider.port",
  "provider.api_url",
  "provider.start",
  "provider.stop",
  "provider.status",
  "provider.cost_per_hour",
  "idle_minutes",
  "url",
  "gateway.username",
  "gateway.password",
  "gateway.headers",
  "gateway.ca_pem",
];

/** The field that a refusal is about: named in its details, or before its words. Null where it names none. */
export function flawOf(message: string, details: unknown): Flaw | null {
  const named = (details as { field?: unknown } | null)?.field;
  const field = FIELDS.find((one) => one === named || message.startsWith(`${one}:`) || message.startsWith(`${one}[`));
  if (field === undefined) return null;
  // Its name is above it.
  const words = message.startsWith(field) ? message.slice(message.indexOf(":") + 1).trim() : message;
  return { field, words };
}

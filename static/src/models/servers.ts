// Which servers have a model.

import type { Backend, Model } from "../api/types";
import { ago } from "../lib/format";
import { backendName, backends } from "../state/backends";
import { isAtRest } from "../state/pods";
import type { Entry } from "./entries";

function backendOf({ backend_id }: Model): Backend | undefined {
  return backends.value.find((one) => one.id === backend_id);
}

/** Whether a server can be asked for its models just now. */
function isReached(model: Model): boolean {
  return backendOf(model)?.state === "connected";
}

function awayWord(model: Model): string {
  const server = backendOf(model);
  return server && isAtRest(server) ? server.pod!.state : "away";
}

/** What a row says below the name: its form, and where there are several servers, which of them have it. */
export function serversWords({ servers }: Entry): string {
  const [first] = servers;
  if (first === undefined) return "Named by photos or steps alone";
  const variant = first.variant === "normal" ? null : first.variant;
  const names = new Set(servers.map((model) => backendName(model.backend_id) + (isReached(model) ? "" : ` (${awayWord(model)})`)));
  const where = backends.value.length > 1 ? `on ${[...names].join(", ")}` : null;
  return [first.format, variant, first.provider_id, where].filter(Boolean).join(" · ");
}

/** Of each server that cannot be asked now, how old that is which is shown of it. */
export function staleWords(items: readonly Model[]): string[] {
  const newest = new Map<string, string>();
  for (const { backend_id, seen_at } of items) {
    const known = newest.get(backend_id);
    if (known === undefined || seen_at > known) newest.set(backend_id, seen_at);
  }
  return backends.value
    .filter((server) => server.state !== "connected" && newest.has(server.id))
    .map((server) => {
      const state = isAtRest(server)
        ? `is ${server.pod!.state}`
        : server.state === "disabled"
          ? "is switched off"
          : server.state === "connecting"
            ? "is being reached"
            : "is away";
      return `${server.name} ${state}: its models are shown as it told them ${ago(newest.get(server.id)!)}.`;
    });
}

/** The one to generate on: a server that is reached, if there is one. */
export function bestServer(servers: readonly Model[]): Model | undefined {
  return servers.find(isReached) ?? servers[0];
}

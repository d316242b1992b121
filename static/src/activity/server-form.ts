// The fields of a server, and what the service is told of them.

import type { Backend } from "../api/types";
import { type GatewayForm, gatewayBody, NO_GATEWAY } from "./gateway-form";
import { type Kind, type PodForm, podFormOf, proxyAddress } from "./pod-form";

/** What the fields of a server hold, as they were typed. */
export interface ServerForm {
  kind: Kind;
  pod: PodForm;
  name: string;
  url: string;
  email: string;
  password: string;
  gateway: GatewayForm;
  mirror: Backend["mirror"];
  enabled: boolean;
}

/** Scheme, host and port: what a login is kept for. Null while the address is half typed. */
export function originOf(url: string): string | null {
  try {
    return new URL(url.trim()).origin;
  } catch {
    return null;
  }
}

export function loginOf({ email, password }: ServerForm) {
  return email && password ? { email, password } : null;
}

/** What of the form the service shall know; empty credentials, and an empty gateway, leave what is stored. */
export function bodyOf(form: ServerForm) {
  const { name, mirror, enabled } = form;
  const login = loginOf(form);
  const gateway = gatewayBody(form.gateway);
  return {
    mirror,
    enabled,
    ...(name.trim() ? { name: name.trim() } : {}),
    ...(login ? { credentials: login } : {}),
    ...(gateway || form.gateway.forget ? { gateway } : {}),
  };
}

function kindOf(server: Backend | null): Kind {
  return server === null || server.kind === "demo" ? "server" : server.kind;
}

/** What was typed as the address. A pod's own one goes along with its id and port, and is not shown. */
export function addressOf(server: Backend | null): string {
  if (server === null) return "";
  const provider = server.pod?.provider;
  const own = provider?.kind === "runpod" ? proxyAddress({ podId: provider.pod_id, port: String(provider.port) }) : null;
  return server.url === own ? "" : server.url;
}

/** The fields of a server as it is, or of a new one. */
export function serverFormOf(server: Backend | null): ServerForm {
  return {
    kind: kindOf(server),
    pod: podFormOf(server),
    name: server?.name ?? "",
    url: addressOf(server),
    email: "",
    password: "",
    gateway: NO_GATEWAY,
    mirror: server?.mirror ?? "all",
    enabled: server?.enabled ?? true,
  };
}

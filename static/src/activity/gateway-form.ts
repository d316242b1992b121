// The fields of a gateway, and what the service is told of them.

import type { GatewayGiven } from "../api/types";

export interface Header {
  name: string;
  value: string;
}

/** What the fields of a gateway hold, as they were typed. */
export interface GatewayForm {
  username: string;
  password: string;
  /** The last one is empty: there is always a row to type into. */
  headers: Header[];
  authority: string;
  /** What is stored is to be forgotten. */
  forget: boolean;
}

const EMPTY_ROW: Header = { name: "", value: "" };

export const NO_GATEWAY: GatewayForm = { username: "", password: "", headers: [EMPTY_ROW], authority: "", forget: false };

export function isEmpty({ name, value }: Header): boolean {
  return name.trim() === "" && value.trim() === "";
}

/** The rows with one of them changed; another empty one follows when the last was begun, and emptied ones go. */
export function withHeader(headers: readonly Header[], index: number, change: Partial<Header>): Header[] {
  const changed = headers.map((header, at) => (at === index ? { ...header, ...change } : header));
  const kept = changed.filter((header, at) => at === index || !isEmpty(header));
  return isEmpty(kept[kept.length - 1]!) ? kept : [...kept, EMPTY_ROW];
}

export function withoutHeader(headers: readonly Header[], index: number): Header[] {
  const kept = headers.filter((_, at) => at !== index);
  return kept.length > 0 && isEmpty(kept[kept.length - 1]!) ? kept : [...kept, EMPTY_ROW];
}

/** What the service shall know: only what was typed. Null where nothing was. */
export function gatewayBody({ username, password, headers, authority }: GatewayForm): GatewayGiven | null {
  const given = headers.filter((header) => !isEmpty(header)).map(({ name, value }) => [name.trim(), value.trim()] as const);
  const body: GatewayGiven = {
    ...(username && { username }),
    ...(password && { password }),
    ...(given.length > 0 && { headers: Object.fromEntries(given) }),
    ...(authority.trim() && { ca_pem: `${authority.trim()}\n` }),
  };
  return Object.keys(body).length > 0 ? body : null;
}

/** A name that was typed twice: the later one would take the place of the first without a word. */
export function repeatedHeader({ headers }: GatewayForm): string | null {
  const known = new Set<string>();
  for (const header of headers) {
    const name = header.name.trim();
    if (name && known.has(name.toLowerCase())) return name;
    known.add(name.toLowerCase());
  }
  return null;
}

import type { Setting } from "../api/types";

/** As it is typed: nothing groups the digits of a number, for a field takes none of that. */
export function boundsWords({ type, minimum, maximum }: Setting): string {
  const kind = type === "integer" ? "A whole number" : "A number";
  if (minimum !== null && maximum !== null) return `${kind} from ${minimum} to ${maximum}.`;
  if (minimum !== null) return `${kind} from ${minimum}.`;
  return maximum === null ? `${kind}.` : `${kind} up to ${maximum}.`;
}

/** Null for what is no such number, or beyond the bounds. */
export function numberOf(text: string, { type, minimum, maximum }: Setting): number | null {
  const number = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(number) || (type === "integer" && !Number.isInteger(number))) return null;
  if ((minimum !== null && number < minimum) || (maximum !== null && number > maximum)) return null;
  return number;
}

/** A default as the button to it says it. */
export function defaultWords({ type, default: value, unit }: Setting): string {
  if (type === "boolean") return value ? "on" : "off";
  return [String(value), unit].filter(Boolean).join(" ");
}

// Choices that this browser remembers.

import { effect, type Signal, signal } from "@preact/signals";

/** A signal that this browser remembers. */
function remembered<T>(name: string, initial: T): Signal<T> {
  const key = `darkroom.${name}`;
  const value = signal(read(key, initial));
  effect(() => {
    const text = JSON.stringify(value.value);
    try {
      localStorage.setItem(key, text);
    } catch {
      // Storage is full or forbidden: the choice holds until the page closes.
    }
  });
  return value;
}

function read<T>(key: string, initial: T): T {
  try {
    const text = localStorage.getItem(key);
    return text === null ? initial : (JSON.parse(text) as T);
  } catch {
    return initial;
  }
}

export type Theme = "system" | "dark" | "light";

export const theme = remembered<Theme>("theme", "system");
export const rowHeight = remembered("row-height", 200);
export const inspectorOpen = remembered("inspector", false);
export const filmstripOpen = remembered("filmstrip", true);
/** By key, how large a trouble was when it was hidden. */
export const hiddenAlarms = remembered<Readonly<Record<string, number>>>("hidden-alarms", {});

effect(() => {
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});

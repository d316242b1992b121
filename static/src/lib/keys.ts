// Keys of the page, by scope.

import { useLayoutEffect, useRef } from "preact/hooks";

/** Keys as `event.key` says them, lower-case letters; "ctrl+a" for Ctrl or ⌘, "alt+ArrowLeft" for Alt or ⌥, "shift+u" for a letter with Shift. */
export type KeyMap = Record<string, (event: KeyboardEvent) => void>;

interface Scope {
  keys: () => KeyMap;
  /** While it stands, no other scope hears anything. */
  modal: boolean;
}

const scopes: Scope[] = [];

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return target.type !== "range" && target.type !== "checkbox" && target.type !== "radio";
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

const WALKING = new Set(["Home", "End", "PageUp", "PageDown"]);

/** Leads from one thing to another, and on while it is held down. */
function walks(key: string): boolean {
  return key.startsWith("Arrow") || WALKING.has(key);
}

/** Keys that a focused control already means something by. */
function isControls(event: KeyboardEvent): boolean {
  if (!(event.target instanceof HTMLElement)) return false;
  if (event.target instanceof HTMLInputElement) return walks(event.key) || event.key === " ";
  if (event.key !== "Enter" && event.key !== " ") return false;
  return event.target.closest("button, a[href], summary") !== null && event.target.dataset.keys !== "page";
}

const LETTER = /^\p{L}$/u;

function nameOf(event: KeyboardEvent): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isCommand = event.ctrlKey || event.metaKey;
  if (event.altKey) return isCommand ? `ctrl+alt+${key}` : `alt+${key}`;
  if (isCommand) return `ctrl+${key}`;
  // Other characters may need Shift, and which ones depends on the keyboard.
  return event.shiftKey && (key.length > 1 || LETTER.test(key)) ? `shift+${key}` : key;
}

export function listenForKeys(): void {
  window.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isTyping(event.target) || isControls(event)) return;
    if (document.querySelector("dialog[open]")) return;
    const name = nameOf(event);
    const modal = scopes.findLast((scope) => scope.modal);
    for (const scope of modal ? [modal] : scopes.toReversed()) {
      const act = scope.keys()[name];
      if (!act) continue;
      event.preventDefault();
      // A key that is held down is one press; arrows walk on.
      if (!event.repeat || walks(event.key)) act(event);
      return;
    }
  });
}

/** Hears keys while the component stands; later scopes are asked first. */
export function useKeys(keys: KeyMap, modal = false): void {
  const latest = useRef(keys);
  latest.current = keys;
  // Before the next key: what is chosen with one is trashed with the next.
  useLayoutEffect(() => {
    const scope: Scope = { keys: () => latest.current, modal };
    scopes.push(scope);
    return () => void scopes.splice(scopes.indexOf(scope), 1);
  }, [modal]);
}

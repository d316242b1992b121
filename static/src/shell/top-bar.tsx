import type { ComponentChildren } from "preact";
import { connection, type Connection, isHeard } from "../feed/connection";
import { hasDemo } from "../state/backends";
import { isPhone } from "../app/responsive";
import { FeedNote } from "./feed-note";

const WORDS: Record<Connection, { word: string; tone: string; meaning: string }> = {
  connecting: { word: "Connecting…", tone: "", meaning: "Opening the live connection to Darkroom." },
  live: { word: "Live", tone: "ok", meaning: "Connected to Darkroom: changes appear as they happen." },
  polling: { word: "Delayed", tone: "warn", meaning: "Changes appear after a few seconds: no live connection to Darkroom can be opened." },
  reconnecting: {
    word: "Reconnecting…",
    tone: "warn",
    meaning: "The connection to Darkroom was lost. Trying again; nothing made meanwhile is missed.",
  },
  offline: {
    word: "Offline",
    tone: "bad",
    meaning: "Darkroom does not answer. It is tried again every few seconds; what you see may be out of date.",
  },
};

function ConnectionState() {
  const { word, tone, meaning } = WORDS[connection.value];
  // On a phone there is no room for a word that means nothing new: offline, a note below the bar says it.
  const quiet = isPhone.value && (isHeard.value || connection.value === "offline");
  return (
    <span class="connection" role="status" title={meaning} data-testid="connection" data-state={connection.value}>
      <span class={`dot ${tone}`} />
      <span class={quiet ? "hidden-text" : ""}>{word}</span>
    </span>
  );
}

/** The bar over a page: its controls left, the live connection right; below it what holds for the whole page. */
export function TopBar({ children }: { children: ComponentChildren }) {
  return (
    <>
      <header class="topbar">
        {children}
        <ConnectionState />
      </header>
      <FeedNote />
      {hasDemo.value && (
        <p class="demo-note" data-testid="demo-note">
          Demo: drawn by Darkroom itself, not by InvokeAI.
        </p>
      )}
    </>
  );
}

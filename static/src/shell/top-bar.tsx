import type { ComponentChildren } from "preact";
import { connection, type Connection } from "../feed/connection";
import { hasDemo } from "../state/backends";
import { isPhone } from "../app/responsive";
import { HealthNote } from "./health-note";
import { OfflineNote } from "./offline-note";

const WORDS: Record<Connection, { word: string; tone: string; meaning: string }> = {
  connecting: { word: "Connecting…", tone: "", meaning: "Opening the live connection to Darkroom." },
  live: { word: "Live", tone: "ok", meaning: "Connected to Darkroom: changes appear as they happen." },
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
  const quiet = isPhone.value && (connection.value === "live" || connection.value === "offline");
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
      <OfflineNote />
      <HealthNote />
      {hasDemo.value && (
        <p class="demo-note" data-testid="demo-note">
          Demo: drawn by Darkroom itself, not by InvokeAI.
        </p>
      )}
    </>
  );
}

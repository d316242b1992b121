import type { ComponentChildren } from "preact";
import { Link, useLocation } from "wouter-preact";
import { type Connection, connection, isHeard } from "../feed/connection";
import { isPhone } from "../lib/responsive";
import { barAlarm } from "../state/alarms";
import { hasDemo } from "../state/backends";
import { AlarmNote } from "./alarm-note";

const WORDS: Record<Connection, { word: string; tone: string; meaning: string }> = {
  connecting: { word: "Connecting…", tone: "", meaning: "Opening the live connection to Darkroom." },
  live: { word: "Live", tone: "ok", meaning: "Connected to Darkroom: changes appear as they happen." },
  polling: {
    word: "Delayed",
    tone: "warn",
    meaning: "Changes appear after a few seconds: no live connection to Darkroom can be opened.",
  },
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

/** What is wrong with a server or a disk matters more than that Darkroom answers; a server's word leads to where it is told in full. */
function ConnectionState() {
  const [path] = useLocation();
  const alarm = isHeard.value ? barAlarm.value : null;
  const { word, tone, meaning } = alarm ?? WORDS[connection.value];
  // On a phone there is no room for a word that is said elsewhere: in a note below the bar, or on the Activity page.
  const quiet = isPhone.value && (isHeard.value || connection.value === "offline");
  const words = <span class={quiet ? "hidden-text" : ""}>{word}</span>;
  return (
    <span class="connection" role="status" title={meaning} data-testid="connection" data-state={connection.value}>
      <span class={`dot ${tone}`} />
      {alarm?.isServers && !quiet && path !== "/activity" ? <Link href="/activity">{words}</Link> : words}
    </span>
  );
}

/** The bar over a page: its controls left, the live connection right; below it, over the page, what is wrong. */
export function TopBar({ children }: { children: ComponentChildren }) {
  return (
    <>
      <header class="topbar">
        {children}
        <ConnectionState />
      </header>
      {hasDemo.value && (
        <p class="demo-note" data-testid="demo-note">
          Demo: drawn by Darkroom itself, not by InvokeAI.
        </p>
      )}
      <AlarmNote />
    </>
  );
}

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { reconnectNow } from "../feed/connection";
import { hiddenAlarms } from "../lib/preferences";
import { useNow } from "../lib/use-now";
import { type Alarm, isShown } from "../state/alarm-rank";
import { alarms, hide } from "../state/alarms";
import { lastSeen, lookAt, nextAttempt } from "../state/backends";
import { IconButton } from "./icon";
import { X } from "./icons";

const TEST_IDS: Record<Alarm["kind"], string> = {
  offline: "offline-note",
  health: "health-note",
  pod: "pod-note",
  server: "server-note",
  photos: "photos-note",
  polling: "polling-note",
};

/** What is told in full on the Activity page. */
const ON_ACTIVITY = new Set<Alarm["kind"]>(["pod", "server", "photos"]);

/** The worst that is wrong, in a line over the page, which it does not move; the others on demand. */
export function AlarmNote() {
  const [path] = useLocation();
  const [all, showAll] = useState(false);
  const elsewhere = alarms.value.filter(({ kind }) => path !== "/activity" || !ON_ACTIVITY.has(kind));
  const present = elsewhere.filter((alarm) => isShown(alarm, hiddenAlarms.value));
  const others = present.length - 1;
  return (
    <div class="alarm-place">
      <div class="alarm" data-testid="alarm" hidden={present.length === 0}>
        {present.slice(0, all ? undefined : 1).map((alarm, index) => (
          <Line key={alarm.key} alarm={alarm}>
            {index === 0 && others > 0 && (
              <button type="button" class="button quiet compact" aria-expanded={all} onClick={() => showAll(!all)}>
                {all ? "Show less" : `${others} more`}
              </button>
            )}
          </Line>
        ))}
      </div>
    </div>
  );
}

function Line({ alarm, children }: { alarm: Alarm; children: ComponentChildren }) {
  const { kind, key, tone, words, server } = alarm;
  return (
    <div class="alarm-line" data-testid={TEST_IDS[kind]} data-code={key}>
      <span class={`dot ${tone}`} />
      <p>
        <span role={tone === "bad" ? "alert" : "status"}>{words}</span>
        {server && <Attempts server={server} />}
      </p>
      {children}
      {kind === "offline" && (
        <button type="button" class="button compact" onClick={reconnectNow}>
          Try now
        </button>
      )}
      {server && (
        <button type="button" class="button compact" disabled={server.next_attempt_at === null} onClick={() => void lookAt(server)}>
          Try now
        </button>
      )}
      {(kind === "pod" || (kind === "server" && !server)) && (
        <Link class="button compact" href="/activity">
          Show
        </Link>
      )}
      {kind === "photos" && (
        <Link class="button compact" href="/activity#retrievals">
          See why
        </Link>
      )}
      <IconButton icon={X} label="Hide" onClick={() => hide(alarm)} />
    </div>
  );
}

/** Not read aloud by itself: it changes every second. */
function Attempts({ server }: { server: NonNullable<Alarm["server"]> }) {
  const now = useNow(1_000);
  return (
    <span class="muted small alarm-attempts">
      <span>{lastSeen(server, now)}</span> <span>{nextAttempt(server, now)}</span>
    </span>
  );
}

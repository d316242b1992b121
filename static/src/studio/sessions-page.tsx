import { useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import type { Session } from "../api/types";
import { ago, count } from "../app/format";
import { toastFailure } from "../app/toasts";
import { useTitle } from "../app/use-title";
import { Picture } from "../library/picture";
import { Blank } from "../shell/blank";
import { Icon } from "../shell/icon";
import { CloudOff, GitFork, Plus, Sparkles } from "../shell/icons";
import { TopBar } from "../shell/top-bar";
import { loadOlderSessions, loadSessions, olderSessions, sessions, sessionsError } from "../state/sessions";
import { usePhoto } from "../viewer/use-photo";
import { Examples } from "./examples";
import { NEW } from "./kept-drafts";
import { SessionMenu } from "./session-menu";
import { takeExample } from "./take-example";

export function SessionsPage() {
  const [, navigate] = useLocation();
  useTitle("Studio");
  const start = (prompt?: string) => {
    if (prompt !== undefined) takeExample(NEW, prompt);
    navigate(`/studio/${NEW}`);
  };
  const all = sessions.value;
  return (
    <>
      <TopBar>
        <h1>Studio</h1>
        <div class="rest" />
        {all !== null && all.length > 0 && (
          <button type="button" class="button primary" onClick={() => start()}>
            <Icon of={Plus} />
            New session
          </button>
        )}
      </TopBar>
      {all === null && sessionsError.value !== null && (
        <Blank icon={CloudOff} title="The sessions cannot be read">
          <p>{sessionsError.value}</p>
          <button type="button" class="button" onClick={() => void loadSessions()}>
            Try again
          </button>
        </Blank>
      )}
      {all?.length === 0 && (
        <Blank icon={Sparkles} title="Make something">
          <p>
            A session keeps what you try as a tree: each step branches from the one you liked. Start with your own words, or with
            these:
          </p>
          <Examples onTake={start} />
          <button type="button" class="button primary" onClick={() => start()}>
            New session
          </button>
        </Blank>
      )}
      {all !== null && all.length > 0 && (
        <div class="sessions-scroll scroll">
          <ul class="sessions">
            {all.map((session) => (
              <SessionCard key={session.id} session={session} />
            ))}
          </ul>
          {olderSessions.value !== null && <Older />}
        </div>
      )}
    </>
  );
}

function SessionCard({ session }: { session: Session }) {
  const { photo } = usePhoto(session.cover_photo_id);
  return (
    <li class="session-card" data-testid="session-card" data-session={session.id}>
      <Link href={`/studio/${session.id}`}>
        <span class="session-cover">{photo ? <Picture photo={photo} key={photo.value.id} /> : <Icon of={GitFork} />}</span>
        <strong class="ellipsis">{session.name}</strong>
        <span class="small muted ellipsis">
          {session.step_count === 0 ? "Nothing made yet" : count(session.step_count, "step")} · {ago(session.updated_at)}
        </span>
      </Link>
      <SessionMenu session={session} />
    </li>
  );
}

function Older() {
  const [busy, setBusy] = useState(false);
  const load = async () => {
    setBusy(true);
    try {
      await loadOlderSessions();
    } catch (failure) {
      toastFailure("The older sessions were not read.", failure);
    }
    setBusy(false);
  };
  return (
    <button type="button" class="button sessions-older" disabled={busy} onClick={() => void load()}>
      Older sessions
    </button>
  );
}

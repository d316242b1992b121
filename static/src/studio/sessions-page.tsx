import { useEffect, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import type { Session } from "../api/types";
import { Blank } from "../components/blank";
import { Icon } from "../components/icon";
import { CloudOff, GitFork, Plus, Sparkles } from "../components/icons";
import { TopBar } from "../components/top-bar";
import { ago, count } from "../lib/format";
import { useTitle } from "../lib/navigation";
import { toastFailure } from "../lib/toasts";
import { Picture } from "../photo/picture";
import { usePhoto } from "../photo/use-photo";
import { loadModels } from "../state/models";
import { loadOlderSessions, loadSessions, olderSessions, sessions, sessionsError } from "../state/sessions";
import { Examples, takeExample } from "./examples";
import { NEW } from "./kept-drafts";
import { SessionMenu } from "./session-menu";
import { SessionPage } from "./session-page";

/** The studio: all sessions, or the one that is open. */
export function StudioPage({ sessionId, stepId }: { sessionId: string | null; stepId: string | null }) {
  useEffect(() => {
    void loadSessions();
    void loadModels();
  }, []);
  return sessionId === null ? <SessionsPage /> : <SessionPage id={sessionId} stepId={stepId} />;
}

function SessionsPage() {
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
        <div class="cards-scroll scroll">
          <ul class="cards sessions">
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
    <li class="picture-card" data-testid="session-card" data-session={session.id}>
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

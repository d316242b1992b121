import { useEffect, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { ApiError, reasonOf } from "../api/client";
import { isPhone, isWide } from "../app/responsive";
import { Blank } from "../shell/blank";
import { Icon, IconButton } from "../shell/icon";
import { ArrowLeft, CloudOff, ListTree, Pencil } from "../shell/icons";
import { TopBar } from "../shell/top-bar";
import { resyncEvents } from "../state/feed-events";
import { loadSession, sessions } from "../state/sessions";
import { getStep, isStepLive, stepsOf } from "../state/steps";
import { Alternatives } from "./alternatives";
import { Compose } from "./compose";
import { draftOf, followStep } from "./draft";
import { Examples } from "./examples";
import { SessionMenu } from "./session-menu";
import { cancelStep } from "./step-actions";
import { Tree } from "./tree";

type Panel = "tree" | "compose" | null;

/** One session: its tree, the chosen step's alternatives, and what to make next. */
export function SessionPage({ id, stepId }: { id: string; stepId: string | null }) {
  const [path, navigate] = useLocation();
  const error = useSession(id);
  const [panel, show] = useState<Panel>(null);
  const session = sessions.value?.find((one) => one.id === id);
  const ids = stepsOf(id)?.value ?? null;
  const step = getStep(stepId) ?? getStep(ids?.at(-1));
  const choose = (next: string) => {
    show(null);
    navigate(`/studio/${id}/${next}`, { replace: path !== `/studio/${id}` });
  };

  const chosen = step?.value.id;
  useEffect(() => {
    if (step) followStep(id, step.peek());
  }, [chosen]);

  if (error && ids === null) {
    return (
      <>
        <TopBar>
          <h1>Studio</h1>
          <div class="rest" />
        </TopBar>
        <Blank icon={CloudOff} title={error.missing ? "This session is gone" : "The session cannot be read"}>
          <p>{error.missing ? "It may have been deleted. Its photos are still in the library." : error.reason}</p>
          <Link href="/studio" class="button">
            All sessions
          </Link>
        </Blank>
      </>
    );
  }

  const draft = draftOf(id);
  return (
    <>
      <TopBar>
        <Link href="/studio" class="icon-button" aria-label="All sessions" title="All sessions">
          <Icon of={ArrowLeft} />
        </Link>
        <h1 class="ellipsis">{session?.name ?? ""}</h1>
        {session && <SessionMenu session={session} onDeleted={() => navigate("/studio")} />}
        <div class="rest" />
        {!isWide.value && ids !== null && ids.length > 0 && (
          <IconButton icon={ListTree} label="Steps" pressed={panel === "tree"} onClick={() => show(panel === "tree" ? null : "tree")} />
        )}
      </TopBar>
      <div class={`session ${panel ? `showing-${panel}` : ""}`}>
        <aside class="tree-panel scroll" aria-label="Steps">
          {ids !== null && <Tree ids={ids} chosen={chosen ?? null} onChoose={choose} />}
        </aside>
        <div class="session-main">
          {step && <Alternatives step={step} key={chosen} />}
          {ids?.length === 0 && (
            <section class="blank">
              <h1>What shall it be?</h1>
              <p>Write a prompt and generate; each step you make after that branches from the one you choose.</p>
              <Examples
                onTake={(prompt) => {
                  draft.value = { ...draft.peek(), prompt };
                  if (isPhone.peek()) show("compose");
                }}
              />
            </section>
          )}
          {isPhone.value && (
            <div class="compose-open">
              {step && isStepLive(step.value) && (
                <button type="button" class="button" disabled={step.value.cancel_requested_at !== null} onClick={() => void cancelStep(step.value.id)}>
                  Cancel
                </button>
              )}
              <button type="button" class="button primary" onClick={() => show("compose")}>
                <Icon of={Pencil} />
                Compose
              </button>
            </div>
          )}
        </div>
        {panel && !isWide.value && <button type="button" class="sheet-shade" aria-label="Close" onClick={() => show(null)} />}
        <Compose session={id} step={step ?? null} onMade={choose} onClose={() => show(null)} />
      </div>
    </>
  );
}

/** Reads the session, and again whenever the page may be stale. */
function useSession(id: string): { missing: boolean; reason: string } | null {
  const [error, setError] = useState<{ missing: boolean; reason: string } | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    const read = () =>
      void loadSession(id, abort.signal)
        .then(() => setError(null))
        .catch((failure: unknown) => {
          if (abort.signal.aborted) return;
          setError({ missing: failure instanceof ApiError && failure.status === 404, reason: reasonOf(failure) });
        });
    read();
    const stop = resyncEvents.listen(read);
    return () => {
      abort.abort();
      stop();
    };
  }, [id]);
  return error;
}

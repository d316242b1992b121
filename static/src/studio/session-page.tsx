import type { Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { isPhone, isWide } from "../app/responsive";
import { useTitle } from "../app/use-title";
import { Icon, IconButton } from "../shell/icon";
import { ArrowLeft, ListTree, Pencil } from "../shell/icons";
import { TopBar } from "../shell/top-bar";
import { sessions } from "../state/sessions";
import { getStep, isStepLive, type StepState, stepsOf } from "../state/steps";
import { Alternatives } from "./alternatives";
import { Compose } from "./compose";
import { Examples } from "./examples";
import { draftOf, followStep } from "./kept-drafts";
import { SessionMenu } from "./session-menu";
import { SessionMissing } from "./session-missing";
import { canCancel, cancelByClick } from "./step-actions";
import { Tree } from "./tree";
import { useSession } from "./use-session";
import { useSheet } from "./use-sheet";

/** One session: its tree, the chosen step's alternatives, and what to make next. */
export function SessionPage({ id, stepId }: { id: string; stepId: string | null }) {
  const [, navigate] = useLocation();
  const error = useSession(id);
  const { panel, show, hide } = useSheet();
  const ids = stepsOf(id).value;
  const step = getStep(stepId) ?? getStep(ids?.at(-1)) ?? null;
  const chosen = step?.value.id ?? null;
  const choose = async (next: string) => {
    await hide();
    navigate(`/studio/${id}/${next}`, { replace: location.pathname !== `/studio/${id}` });
  };

  useEffect(() => {
    if (step) followStep(id, step.peek());
  }, [chosen]);

  if (error && (error.missing || ids === null)) return <SessionMissing error={error} />;
  const toggleTree = () => (panel === "tree" ? void hide() : show("tree"));
  return (
    <>
      <SessionBar
        id={id}
        tree={!isWide.value && ids !== null && ids.length > 0 ? { shown: panel === "tree", toggle: toggleTree } : null}
      />
      <div class={`session ${panel ? `showing-${panel}` : ""}`}>
        <aside class="tree-panel scroll" aria-label="Steps">
          {ids !== null && <Tree ids={ids} chosen={chosen} onChoose={(next) => void choose(next)} />}
        </aside>
        <div class="session-main">
          {step && <Alternatives step={step} key={chosen} />}
          {ids?.length === 0 && <NothingYet id={id} onTaken={() => isPhone.peek() && show("compose")} />}
          {isPhone.value && <PhoneActions step={step} onCompose={() => show("compose")} />}
        </div>
        {panel && !isWide.value && <button type="button" class="sheet-shade" aria-label="Close" onClick={() => void hide()} />}
        <Compose session={id} step={step} onMade={(made) => void choose(made)} onClose={() => void hide()} />
      </div>
    </>
  );
}

function SessionBar({ id, tree }: { id: string; tree: { shown: boolean; toggle: () => void } | null }) {
  const [, navigate] = useLocation();
  const session = sessions.value?.find((one) => one.id === id);
  useTitle(session?.name ?? "Studio");
  const isHere = () => location.pathname.startsWith(`/studio/${id}`);
  return (
    <TopBar>
      <Link href="/studio" class="icon-button" aria-label="All sessions" title="All sessions">
        <Icon of={ArrowLeft} />
      </Link>
      <h1 class="ellipsis">{session?.name}</h1>
      {session && <SessionMenu session={session} onDeleted={() => isHere() && navigate("/studio")} />}
      <div class="rest" />
      {tree && <IconButton icon={ListTree} label="Steps" pressed={tree.shown} onClick={tree.toggle} />}
    </TopBar>
  );
}

function NothingYet({ id, onTaken }: { id: string; onTaken: () => void }) {
  const draft = draftOf(id);
  const take = (prompt: string) => {
    draft.value = { ...draft.peek(), prompt };
    onTaken();
  };
  return (
    <section class="blank">
      <h1>What shall it be?</h1>
      <p>Write a prompt and generate; each step you make after that branches from the one you choose.</p>
      <Examples onTake={take} />
    </section>
  );
}

/** On a phone the alternatives come first; the rest is within the thumb's reach. */
function PhoneActions({ step, onCompose }: { step: Signal<StepState> | null; onCompose: () => void }) {
  const live = step !== null && isStepLive(step.value) ? step.value : null;
  return (
    <div class="compose-open">
      {live && (
        <button type="button" class="button" aria-disabled={!canCancel(live)} onClick={(event) => cancelByClick(event, live)}>
          Cancel
        </button>
      )}
      <button type="button" class="button primary" onClick={onCompose}>
        <Icon of={Pencil} />
        Compose
      </button>
    </div>
  );
}

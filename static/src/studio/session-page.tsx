import { useEffect } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { Blank } from "../components/blank";
import { Icon, IconButton } from "../components/icon";
import { ArrowLeft, CloudOff, ListTree, Pencil } from "../components/icons";
import { TopBar } from "../components/top-bar";
import { pathHere } from "../lib/base";
import { useTitle } from "../lib/navigation";
import { isPhone, isWide } from "../lib/responsive";
import { sessions } from "../state/sessions";
import { getStep, stepsOf } from "../state/steps";
import { Alternatives } from "./alternatives";
import { Compose, type ComposeProps } from "./compose";
import { Examples, takeExample } from "./examples";
import { draftNumber, followStep, keepAsEdit, NEW } from "./kept-drafts";
import { SessionMenu } from "./session-menu";
import { removeStep } from "./step-actions";
import { Tree } from "./tree";
import { useFromPhoto } from "./use-from-photo";
import { type SessionError, useSession } from "./use-session";
import { useSheet } from "./use-sheet";
import { useSourceAddress } from "./use-source-address";

const NO_STEPS: readonly string[] = [];

/** One session: its tree, the chosen step's alternatives, and what to make next. */
export function SessionPage({ id, stepId }: { id: string; stepId: string | null }) {
  const [, navigate] = useLocation();
  const error = useSession(id);
  const { panel, show, hide } = useSheet();
  useFromPhoto(id, () => isPhone.peek() && show("compose"));
  const ids = id === NEW ? NO_STEPS : stepsOf(id).value;
  const step = getStep(stepId) ?? getStep(ids?.at(-1)) ?? null;
  const chosen = step?.value.id ?? null;
  const choose = async (next: string) => {
    await hide();
    navigate(`/studio/${id}/${next}`, { replace: pathHere() !== `/studio/${id}` });
  };

  const showMade: ComposeProps["onMade"] = async ({ session, step: next, created }) => {
    // A reader who has gone elsewhere since stays there.
    const isHere = () => pathHere().startsWith(`/studio/${session}`) || (created && pathHere() === `/studio/${NEW}`);
    if (!isHere()) return;
    await hide();
    if (isHere()) navigate(`/studio/${session}/${next}`, { replace: pathHere() !== `/studio/${session}` });
  };
  // What can be removed is what made nothing and what nothing branches from.
  const isLeaf = chosen !== null && !ids?.some((other) => getStep(other)?.value.parent_id === chosen);
  const isDead = step?.value.status === "failed" || step?.value.status === "canceled";
  const remove = async () => {
    const next = step?.peek().parent_id ?? ids?.findLast((other) => other !== chosen) ?? null;
    keepAsEdit(id);
    if (chosen === null || !(await removeStep(chosen))) return;
    if (pathHere().startsWith(`/studio/${id}`)) navigate(next ? `/studio/${id}/${next}` : `/studio/${id}`, { replace: true });
  };

  useEffect(() => {
    if (step) followStep(id, step.peek());
  }, [chosen]);
  // After the chosen step's words are in the draft.
  useSourceAddress(id, stepId, () => {
    if (isPhone.peek()) show("compose");
    else document.querySelector<HTMLElement>(".compose [name=prompt]")?.focus();
  });

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
          {ids !== null && (
            <Tree
              key={draftNumber(id)}
              ids={ids}
              chosen={chosen}
              shown={isWide.value || panel === "tree"}
              onChoose={(next) => void choose(next)}
            />
          )}
        </aside>
        <div class="session-main">
          {step && <Alternatives step={step} key={chosen} onRemove={isDead && isLeaf ? remove : null} />}
          {ids?.length === 0 && <NothingYet id={id} onTaken={() => isPhone.peek() && show("compose")} />}
          {isPhone.value && (
            <button type="button" class="button primary compose-open" onClick={() => show("compose")}>
              <Icon of={Pencil} />
              Compose
            </button>
          )}
        </div>
        {panel && !isWide.value && <button type="button" class="sheet-shade" aria-label="Close" onClick={() => void hide()} />}
        <Compose
          key={draftNumber(id)}
          session={id}
          step={step}
          shown={panel === "compose"}
          onMade={showMade}
          onClose={() => void hide()}
        />
      </div>
    </>
  );
}

function SessionBar({ id, tree }: { id: string; tree: { shown: boolean; toggle: () => void } | null }) {
  const [, navigate] = useLocation();
  const session = sessions.value?.find((one) => one.id === id);
  const name = id === NEW ? "New session" : session?.name;
  useTitle(name ?? "Studio");
  const isHere = () => pathHere().startsWith(`/studio/${id}`);
  return (
    <TopBar>
      <Link href="/studio" class="icon-button" aria-label="All sessions" title="All sessions">
        <Icon of={ArrowLeft} />
      </Link>
      <h1 class="ellipsis">{name}</h1>
      {session && <SessionMenu key={id} session={session} onDeleted={() => isHere() && navigate("/studio")} />}
      <div class="rest" />
      {tree && <IconButton icon={ListTree} label="Steps" pressed={tree.shown} onClick={tree.toggle} />}
    </TopBar>
  );
}

function NothingYet({ id, onTaken }: { id: string; onTaken: () => void }) {
  const take = (prompt: string) => {
    takeExample(id, prompt);
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

function SessionMissing({ error }: { error: SessionError }) {
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

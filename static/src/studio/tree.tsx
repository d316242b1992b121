import type { RefObject, TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../components/icon";
import { GitFork, Unplug } from "../components/icons";
import { Ring } from "../components/progress";
import { count } from "../lib/format";
import { isStill } from "../lib/responsive";
import { Picture } from "../photo/picture";
import { getPhoto, isHome } from "../state/photos";
import { podWaitAt, uncapitalised } from "../state/pods";
import { isAway } from "../state/server-alarm";
import { selectionOf } from "../state/step-selection";
import { getStep, isStepLive, type StepState, shownAlternatives } from "../state/steps";
import { whatChanged } from "./changes";
import { edgePath, layOutTree, NODE, type Node, nodeByKey } from "./tree-layout";

/** What a label needs at least, and the panel's inner width. */
const LABEL = 110;
const PANEL = 248;
const BESIDE = NODE + 12;

interface TreeProps {
  ids: readonly string[];
  chosen: string | null;
  /** Whether there is room for it, or it is opened. */
  shown: boolean;
  onChoose: (id: string) => void;
}

/** A session's steps as a tree; each node is what was selected, or the first picture. */
export function Tree({ ids, chosen, shown, onChoose }: TreeProps) {
  const steps = ids.map((id) => getStep(id)?.value).filter((step) => step !== undefined);
  const nodes = layOutTree(steps);
  const height = (nodes.at(-1)?.y ?? 0) + NODE;
  const width = Math.max(0, ...nodes.map((node) => node.x)) + BESIDE + LABEL;
  const [active, activate] = useState<string | null>(null);
  useEffect(() => activate(null), [chosen]);
  const stop = nodes.find((node) => node.id === (active ?? chosen)) ?? nodes[0];
  const move = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const to = stop && nodeByKey(nodes, stop, event.key);
    if (!to) return;
    event.preventDefault();
    event.currentTarget.querySelector<HTMLElement>(`[data-step="${to.id}"]`)?.focus();
  };
  const tree = useRef<HTMLDivElement>(null);
  useChosenInView(tree, shown && nodes.some((node) => node.id === chosen) ? chosen : null);
  if (nodes.length === 0) return <p class="tree-none small muted">Steps appear here.</p>;
  return (
    <div
      ref={tree}
      class="tree"
      role="tree"
      aria-label="Steps"
      style={{ height: `${height}px`, minWidth: `${width}px` }}
      onKeyDown={move}
    >
      <svg width={width} height={height} aria-hidden="true">
        {nodes.map((node) => {
          const path = edgePath(node);
          return path && <path key={node.id} d={path} />;
        })}
      </svg>
      {nodes.map((node) => (
        <TreeNode
          key={node.id}
          node={node}
          steps={steps}
          chosen={node.id === chosen}
          stop={node === stop}
          onFocus={() => activate(node.id)}
          onChoose={() => onChoose(node.id)}
        />
      ))}
    </div>
  );
}

/** Scrolls to the chosen step when the tree is first seen, and when another is chosen or begun. */
function useChosenInView(tree: RefObject<HTMLDivElement>, chosen: string | null): void {
  const before = useRef<string | null>(null);
  useLayoutEffect(() => {
    const face = tree.current?.querySelector(`[data-step="${chosen}"] .tree-face`);
    const smooth = before.current !== null && !isStill.peek();
    face?.scrollIntoView({ block: "nearest", inline: "nearest", behavior: smooth ? "smooth" : "instant" });
    before.current = chosen;
  }, [chosen]);
}

const TONES: Partial<Record<StepState["status"], string>> = { failed: "bad", canceled: "" };
const WORDS: Record<StepState["status"], string> = {
  pending: "waiting",
  processing: "being made",
  completed: "done",
  failed: "failed",
  canceled: "canceled",
};

interface TreeNodeProps {
  node: Node;
  steps: readonly StepState[];
  chosen: boolean;
  /** Where Tab comes to the tree; from there on the arrows lead. */
  stop: boolean;
  onFocus: () => void;
  onChoose: () => void;
}

function TreeNode({ node, steps, chosen, stop, onFocus, onChoose }: TreeNodeProps) {
  const step = getStep(node.id)!.value;
  const parent = getStep(step.parent_id)?.value;
  const shown = shownAlternatives(step);
  const home = shown.filter((id) => isHome(getPhoto(id)!.value));
  const selected = shown.find((id) => id === selectionOf(step));
  const face = getPhoto(selected ?? home[0] ?? shown[0] ?? "");
  const change = whatChanged(step, parent, steps);
  const tone = TONES[step.status];
  const away = isAway(step.backend_id);
  return (
    <button
      type="button"
      class="tree-node"
      role="treeitem"
      aria-selected={chosen}
      aria-level={node.level}
      tabIndex={stop ? 0 : -1}
      aria-label={`${change}: ${away && isStepLive(step) ? uncapitalised(podWaitAt(step.backend_id) ?? "waiting for the server") : WORDS[step.status]}, ${count(shown.length, "picture")}${selected ? ", one selected" : ""}`}
      style={{ left: `${node.x}px`, top: `${node.y}px` }}
      data-testid="tree-node"
      data-step={step.id}
      data-status={step.status}
      onFocus={onFocus}
      onClick={onChoose}
    >
      <span class="tree-face">
        {face && <Picture photo={face} key={face.value.id} />}
        {!face && !isStepLive(step) && <Icon of={GitFork} />}
        {isStepLive(step) && !away && <Ring portion={null} />}
        {isStepLive(step) && away && (
          <span class="tree-away">
            <Icon of={Unplug} />
          </span>
        )}
        {tone !== undefined && <i class={`dot ${tone}`} title={WORDS[step.status]} />}
      </span>
      <span class="small tree-label" style={{ maxWidth: `${Math.max(LABEL, PANEL - BESIDE - node.x)}px` }}>
        {change}
      </span>
    </button>
  );
}

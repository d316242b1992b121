import { useEffect, useRef, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { Icon } from "../components/icon";
import { ImageOff, Network } from "../components/icons";
import { count } from "../lib/format";
import { madeFrom, madeInto, nameOf } from "../photo/lineage-words";
import { Picture } from "../photo/picture";
import { isMissingKey, type Lineage, relativesOf, useLineage } from "../state/lineage";
import { getPhoto } from "../state/photos";
import { fitStrip } from "./fit-strip";

/** So many of a family are asked for: more than fit, so that most can be counted. */
const MOST = 60;
/** Who only walks past asks for nothing. */
const AFTER_MS = 150;

/** The photo that was opened from a strip by keyboard: the focus goes on in its own strip. */
let followed: string | null = null;

interface LineageStripProps {
  id: string;
  /** Shows another photo. */
  onOpen: (id: string) => void;
}

/** Parents, this photo, and its children. It has its room before they are known. */
export function LineageStrip({ id, onOpen }: LineageStripProps) {
  const { lineage, error } = useLineage(id, MOST, AFTER_MS);
  const address = `/photo/${id}/family`;
  const hasFamily = lineage !== null && (lineage.ids.length > 1 || lineage.missing.length > 0);
  return (
    <section class="lineage" aria-label="Lineage">
      <header>
        <h3 class="label">Lineage</h3>
        <Link href={address} state={{ opened: true }} class="button quiet compact" title="Family (y)">
          <Icon of={Network} />
          Family
        </Link>
      </header>
      <div class="lineage-room">
        {hasFamily && <Strip lineage={lineage} address={address} onOpen={onOpen} />}
        {lineage !== null && !hasFamily && <p class="small muted">No source of it is known, and nothing was made from it.</p>}
        {lineage === null && error !== null && <p class="small muted">Its family cannot be read.</p>}
      </div>
    </section>
  );
}

function Strip({ lineage, address, onOpen }: { lineage: Lineage; address: string; onOpen: (id: string) => void }) {
  const list = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(lineage.id);
  const { parents, children } = relativesOf(lineage);
  const shown = fitStrip(parents, children);
  const keys = [...shown.parents, lineage.id, ...shown.children];
  const stop = keys.includes(at) ? at : lineage.id;
  useEffect(() => {
    if (followed === lineage.id)
      list.current?.querySelector<HTMLElement>(`[data-key="${lineage.id}"]`)?.focus({ preventScroll: true });
    followed = null;
  }, [lineage.id]);

  const walk = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined) return;
    // The viewer's own arrows lead elsewhere.
    event.preventDefault();
    const cells = [...list.current!.querySelectorAll<HTMLElement>(".lineage-cell")];
    cells[cells.indexOf(document.activeElement as HTMLElement) + by]?.focus();
  };
  const open = (key: string, event: MouseEvent) => {
    if (key === lineage.id || isMissingKey(key)) return;
    if (event.detail === 0) followed = key;
    onOpen(key);
  };
  const cell = (key: string, words: string) => (
    <Cell
      key={key}
      id={key}
      words={words}
      isSelf={key === lineage.id}
      isStop={key === stop}
      onFocus={() => setAt(key)}
      onPress={open}
    />
  );
  return (
    <>
      <div
        class="lineage-strip"
        role="group"
        aria-label="Parents, this photo, children"
        ref={list}
        onKeyDown={walk}
        data-testid="lineage-strip"
      >
        {shown.moreParents > 0 && <More many={shown.moreParents} isAtLeast={false} of="source" address={address} />}
        {shown.parents.map((key) => cell(key, parentWords(lineage, key)))}
        {parents.length > 0 && <Arrow />}
        {cell(lineage.id, "this photo")}
        {children.length > 0 && <Arrow />}
        {shown.children.map((key) => cell(key, childWords(lineage, key)))}
        {shown.moreChildren > 0 && (
          <More many={shown.moreChildren} isAtLeast={lineage.truncated} of="picture made from it" address={address} />
        )}
      </div>
      <p class="small muted ellipsis">{summary(lineage, parents, children)}</p>
    </>
  );
}

interface CellProps {
  id: string;
  words: string;
  isSelf: boolean;
  isStop: boolean;
  onFocus: () => void;
  onPress: (id: string, event: MouseEvent) => void;
}

function Cell({ id, words, isSelf, isStop, onFocus, onPress }: CellProps) {
  const photo = isMissingKey(id) ? undefined : getPhoto(id);
  const trashed = photo?.value.deleted_at != null;
  return (
    <button
      type="button"
      class={`lineage-cell ${isSelf ? "self" : ""} ${photo ? "" : "missing"} ${trashed ? "trashed" : ""}`}
      aria-label={trashed ? `${words}, in the trash` : words}
      aria-current={isSelf ? "true" : undefined}
      aria-disabled={isSelf || !photo ? "true" : undefined}
      title={isSelf ? undefined : words}
      tabIndex={isStop ? 0 : -1}
      data-key={id}
      onFocus={onFocus}
      onClick={(event) => onPress(id, event)}
    >
      {photo ? <Picture photo={photo} /> : <Icon of={ImageOff} />}
    </button>
  );
}

function More({ many, isAtLeast, of, address }: { many: number; isAtLeast: boolean; of: string; address: string }) {
  const words = isAtLeast ? `${many} more and others` : `${many} more`;
  return (
    <Link
      href={address}
      state={{ opened: true }}
      class="lineage-cell more small"
      aria-label={`Family: ${words}, ${of}`}
      title={`${words}: see the family`}
    >
      {`+${many}${isAtLeast ? "…" : ""}`}
    </Link>
  );
}

function Arrow() {
  return (
    <span class="lineage-arrow" aria-hidden="true">
      →
    </span>
  );
}

function parentWords({ id, edges }: Lineage, key: string): string {
  if (isMissingKey(key)) return "Made from a source that is not here any more";
  const edge = edges.find(({ from, to }) => from === key && to === id)!;
  return capital(madeFrom(nameOf(key), edge.role, edge.changes));
}

function childWords({ id, edges }: Lineage, key: string): string {
  const edge = edges.find(({ from, to }) => from === id && to === key)!;
  return capital(madeInto(nameOf(key), edge.role, edge.changes));
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** "Made from 2 pictures, one is not here any more · 12 made from it". */
function summary({ truncated }: Lineage, parents: readonly string[], children: readonly string[]): string {
  const gone = parents.filter(isMissingKey).length;
  const from =
    parents.length === 0
      ? null
      : gone === parents.length
        ? gone === 1
          ? "Its source is not here any more"
          : `None of its ${gone} sources is here any more`
        : `Made from ${count(parents.length, "picture")}${gone > 0 ? `, ${gone} not here any more` : ""}`;
  const made = children.length === 0 ? null : `${truncated ? "at least " : ""}${children.length} made from it`;
  return [from, made].filter((words) => words !== null).join(" · ");
}

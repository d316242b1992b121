import { useEffect, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { Blank } from "../components/blank";
import { Icon, IconButton } from "../components/icon";
import { ArrowLeft, CloudOff, Images, Network } from "../components/icons";
import { TopBar } from "../components/top-bar";
import { enterPage } from "../lib/focus";
import { count, shorten } from "../lib/format";
import { useKeys } from "../lib/keys";
import { goBack, useTitle } from "../lib/navigation";
import { resyncEvents } from "../state/feed-events";
import { type Lineage, useLineage } from "../state/lineage";
import { getPhoto, photoName } from "../state/photos";

/** As many as the service gives at once. */
const MOST = 300;
const LONGEST_NAME = 60;

/** What a photo was made from and what was made from it, drawn as a graph. */
export function FamilyPage({ id }: { id: string }) {
  const reading = useLineage(id, MOST);
  const photo = reading.lineage === null ? undefined : getPhoto(id);
  const name = photo ? photoName(photo.value) : null;
  const leave = useLeave(id);
  useTitle(name === null ? "Family" : `Family of ${shorten(name, LONGEST_NAME)}`);
  useKeys({ Escape: leave });
  const { lineage, isMissing, error, reload } = reading;
  return (
    <>
      <TopBar>
        <IconButton icon={ArrowLeft} label="Back" keys="Esc" onClick={leave} />
        <h1>Family</h1>
        {name !== null && <span class="family-of ellipsis muted">{name}</span>}
        <div class="rest" />
        {lineage !== null && lineage.ids.length > 1 && (
          <span class="small muted family-count">{`${count(lineage.ids.length, "photo")}${lineage.truncated ? " drawn" : ""}`}</span>
        )}
      </TopBar>
      {isMissing && <Gone />}
      {!isMissing && lineage === null && error !== null && <Unread reason={error} onRetry={reload} />}
      {!isMissing && lineage === null && error === null && <Reading />}
      {lineage !== null && (hasFamily(lineage) ? <Drawn key={id} lineage={lineage} /> : <Alone id={id} />)}
    </>
  );
}

/** Back to where one came from; the page may also have been opened by its address. */
function useLeave(id: string): () => void {
  const [, navigate] = useLocation();
  return () => {
    if ((history.state as { opened?: boolean } | null)?.opened) void goBack();
    else navigate(`/?photo=${id}`, { replace: true });
  };
}

function hasFamily({ ids, missing }: Lineage): boolean {
  return ids.length > 1 || missing.length > 0;
}

function Drawn({ lineage }: { lineage: Lineage }) {
  const { View, failed } = useViewCode();
  if (failed)
    return <Unread reason="A part of the page could not be loaded. It is tried again once Darkroom answers." onRetry={null} />;
  return View === null ? <Reading /> : <View lineage={lineage} />;
}

type View = typeof import("./family-view").FamilyView;

/** The drawing's code, which no other page needs; what could not be loaded is tried again once Darkroom answers. */
function useViewCode(): { View: View | null; failed: boolean } {
  const [View, setView] = useState<View | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let wanted = true;
    const load = () => {
      import("./family-view").then(
        (code) => wanted && setView(() => code.FamilyView),
        () => wanted && setFailed(true),
      );
    };
    load();
    const stop = resyncEvents.listen(load);
    return () => {
      wanted = false;
      stop();
    };
  }, []);
  return { View, failed: failed && View === null };
}

function Reading() {
  return (
    <div class="family-reading" role="status">
      <p class="muted">Reading the family…</p>
    </div>
  );
}

function Gone() {
  // Deleted while somebody looked: what had the focus has gone with it.
  useEffect(() => {
    if (document.activeElement === document.body) enterPage();
  }, []);
  return (
    <Blank icon={Network} title="This photo is gone">
      <p>It was deleted for good, or its address is not quite right.</p>
      <Link href="/" class="button primary">
        To the library
      </Link>
    </Blank>
  );
}

function Unread({ reason, onRetry }: { reason: string; onRetry: (() => void) | null }) {
  return (
    <Blank icon={CloudOff} title="The family cannot be read">
      <p>{reason}</p>
      {onRetry && (
        <button type="button" class="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </Blank>
  );
}

function Alone({ id }: { id: string }) {
  return (
    <Blank icon={Network} title="No family yet">
      <p>
        No source of this photo is known, and nothing was made from it. Open it and press “Use as source” to make pictures from it.
      </p>
      <Link href={`/?photo=${id}`} class="button primary">
        <Icon of={Images} />
        Open the photo
      </Link>
    </Blank>
  );
}

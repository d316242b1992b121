import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { AlbumPicker } from "../albums/album-picker";
import { pathHere } from "../lib/base";
import { useKeys } from "../lib/keys";
import { filmstripOpen, inspectorOpen } from "../lib/preferences";
import { isPhone } from "../lib/responsive";
import { PhotoMarks } from "../photo/photo-marks";
import { openAsSource } from "../photo/source-address";
import { PurgeQuestion } from "../photo/trash";
import { usePhoto } from "../photo/use-photo";
import { flag, markKeys, rate, toggleFavorite } from "../state/marks";
import { onlyPhoto, restorePhotos, trashPhotos } from "../state/photo-actions";
import { photoName } from "../state/photos";
import { undoLast } from "../state/undo";
import { Absent, Unloaded } from "./absent";
import { Filmstrip } from "./filmstrip";
import { Inspector } from "./inspector";
import { InspectorFrame } from "./inspector-panel";
import { useIdle } from "./use-idle";
import { useModal } from "./use-modal";
import { useStage } from "./use-stage";
import { ViewerBar } from "./viewer-bar";

interface Choice {
  selected: string | null;
  toggle: (id: string) => void;
}

interface ViewerProps {
  ids: readonly string[];
  /** What the ids are a list of, where that can change: a photo that another list lacks has not left. */
  list?: object;
  shown: string;
  /** Of a step's pictures: which of them is selected, and how that is changed. */
  choice?: Choice;
  /** Opened on the trash: there Del deletes for good, once it was asked. */
  inTrash?: boolean;
  /** Is there more beyond the last id? */
  more: boolean;
  onMore: () => Promise<void>;
  onMove: (id: string) => void;
  onClose: () => void;
}

/** Height of the bar above and of the strip or the marks below: the same, so that the picture stays in the middle (viewer.css). */
const BAR = 60;
const STRIP = 60;
/** As much of a phone's height as its sheet may take (inspector.css). */
const SHEET = 0.6;
const NEAR_END = 20;

/** One photo on black, its neighbours a swipe or an arrow away. */
export function Viewer({ ids: all, list, shown, choice, inTrash = false, more, onMore, onMove, onClose }: ViewerProps) {
  const [, navigate] = useLocation();
  const { ids, index } = usePlace(all, list, shown, onMove, onClose);
  /** Another photo of its family may be shown, which is no picture of the step. */
  const isListed = all.includes(shown);
  const { photo, error } = usePhoto(shown);
  const root = useRef<HTMLDivElement>(null);
  const strip = filmstripOpen.value && ids.length > 1 && !isPhone.value;
  const sheet = inspectorOpen.value && isPhone.value;
  const { idle, toggle } = useIdle(root);
  const host = useRef<HTMLDivElement>(null);
  const trashed = photo !== null && photo.value.deleted_at !== null;
  /** On a phone they stand below the picture; elsewhere in the bar. */
  const marks = isPhone.value && !sheet && photo !== null && !trashed;
  const below = sheet ? SHEET * window.innerHeight : (strip || marks) && !idle ? STRIP : 0;
  const room = { above: idle ? 0 : BAR, below };
  const { stage, failed } = useStage({ host, ids, index, known: photo !== null, room, onShow: onMove, onTap: toggle, onClose });
  useModal(root);

  useEffect(() => {
    if (more && index > ids.length - NEAR_END) void onMore();
  }, [index, ids.length, more]);

  const step = (by: number) => {
    const next = ids[index + by];
    if (next !== undefined) onMove(next);
  };
  const trash = () => photo && !trashed && void trashPhotos([shown]);
  const restore = () => trashed && void restorePhotos([shown]);
  const [adding, add] = useState(false);
  const [purging, askToPurge] = useState<string | null>(null);
  const download = useRef<HTMLAnchorElement>(null);

  useKeys(
    {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      Escape: onClose,
      " ": onClose,
      i: () => (inspectorOpen.value = !inspectorOpen.value),
      t: () => (filmstripOpen.value = !filmstripOpen.value),
      d: () => download.current?.click(),
      y: () => {
        const family = `/photo/${shown}/family`;
        // Opened from there, it lies below.
        if (pathHere() === family) onClose();
        else navigate(family, { state: { opened: true } });
      },
      z: () => stage?.toggleZoom(),
      ...(trashed
        ? {}
        : markKeys({
            favorite: () => toggleFavorite(shown),
            rate: (rating) => void rate(rating, [shown]),
            flag: (pick) => void flag(pick, [shown]),
          })),
      "+": () => photo && !trashed && add(true),
      r: restore,
      e: () => photo && openAsSource(photo.peek()),
      s: () => !trashed && isListed && choice?.toggle(shown),
      Delete: () => (inTrash ? trashed && askToPurge(shown) : trash()),
      "ctrl+z": undoLast,
    },
    true,
  );

  return (
    <div
      ref={root}
      class={`viewer ${idle ? "idle" : ""} ${inspectorOpen.value ? "inspecting" : ""} ${strip || marks ? "with-strip" : ""}`}
      role="dialog"
      aria-modal="true"
      aria-label={photo ? photoName(photo.value) : "Photo"}
      tabIndex={-1}
      data-testid="viewer"
      data-photo={shown}
    >
      <div class="viewer-stage" ref={host}>
        {stage === null && photo !== null && (
          <div class="absent">{failed ? <Unloaded photo={photo} /> : <Absent photo={photo} />}</div>
        )}
      </div>
      {error !== null && (
        <div class="viewer-error">
          <p>{error}</p>
          <Link href="/" class="button">
            To the library
          </Link>
        </div>
      )}
      <ViewerBar
        photo={photo}
        place={ids.length > 1 ? `${index + 1} of ${ids.length}${more ? "+" : ""}` : ""}
        zoom={stage?.zoom ?? null}
        onZoom={() => stage?.toggleZoom()}
        download={download}
        deleteKey={inTrash === trashed ? "Del" : undefined}
        onAdd={() => add(true)}
        onSource={() => photo && openAsSource(photo.peek())}
        selected={choice && isListed ? choice.selected === shown : null}
        onSelect={() => choice?.toggle(shown)}
        onTrash={trash}
        onRestore={restore}
        onPurge={() => askToPurge(shown)}
        onClose={onClose}
        onBefore={index > 0 ? () => step(-1) : null}
        onAfter={index < ids.length - 1 ? () => step(1) : null}
      />
      {marks && (
        <div class="viewer-marks">
          <PhotoMarks photo={photo.value} />
        </div>
      )}
      {strip && <Filmstrip ids={ids} index={index} onMove={onMove} />}
      {adding && <AlbumPicker target={{ ids: [shown], all: null }} many={1} onClose={() => add(false)} />}
      {purging !== null && <PurgeQuestion what={onlyPhoto(purging)} onClose={() => askToPurge(null)} />}
      {inspectorOpen.value && photo && (
        <InspectorFrame>
          <Inspector photo={photo} onOpen={onMove} key={shown} />
        </InspectorFrame>
      )}
    </div>
  );
}

/** Where the shown photo stands in the list, if it does; when it leaves the list, the one that took its place is shown. */
function usePlace(
  all: readonly string[],
  list: object | undefined,
  shown: string,
  onMove: (id: string) => void,
  onClose: () => void,
) {
  const before = useRef<{ ids: readonly string[]; list: object | undefined; index: number; listed: boolean } | null>(null);
  const index = all.indexOf(shown);
  const was = before.current?.listed && before.current.list === list ? before.current.ids[before.current.index] : undefined;
  const left = index < 0 && was === shown;
  if (index >= 0) before.current = { ids: all, list, index, listed: true };
  else if (!left) before.current = { ids: [shown], list, index: 0, listed: false };
  // Before anything else is heard or drawn.
  useLayoutEffect(() => {
    if (!left) return;
    const next = all[Math.min(before.current!.index, all.length - 1)];
    if (next === undefined) onClose();
    else onMove(next);
  }, [left]);
  return before.current!;
}

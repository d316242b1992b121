import type { Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Item, Photo } from "../api/types";
import { Icon, IconButton } from "../components/icon";
import { Check, CircleAlert, ImagePlay, Minus, X } from "../components/icons";
import { ProgressBar } from "../components/progress";
import { below } from "../lib/base";
import { duration } from "../lib/format";
import { beginDrag, canDrag } from "../photo/drag";
import { Picture, RetryRetrieval } from "../photo/picture";
import type { Box } from "../photo/renditions";
import { canBeSource, openAsSource } from "../photo/source-address";
import { getItem, isLive, itemKey, progressWords } from "../state/items";
import { canRetry, getPhoto, isLost, spokenName, spokenState } from "../state/photos";
import { previewOf } from "../state/previews";
import { isAway } from "../state/server-alarm";
import { secondsLeft } from "../state/time-left";
import type { Slot } from "./slots";
import { cancelItem, isCanceling } from "./step-actions";

/** So long the place where Cancel stood takes no click for what stands there now. */
const STILL_MS = 1_000;

interface SlotProps {
  slot: Slot;
  /** What the step's header says already. */
  trouble: string | null;
  /** Why its pod does not make it yet. */
  wait: string | null;
  /** Whether others of its step can be made without it: then it can be canceled alone. */
  several: boolean;
  /** Whether it is its step's selection. */
  selected: boolean;
  box: Box;
  addressOf: (id: string) => string;
  onOpen: (id: string) => void;
  onSelect: (id: string) => void;
}

export function SlotView({ slot, trouble, wait, several, selected, box, addressOf, onOpen, onSelect }: SlotProps) {
  const photo = slot.photo === null ? undefined : getPhoto(slot.photo);
  const work = photo === undefined && slot.item !== null && isLive(slot.item) ? slot.item : null;
  const still = useJustEnded(work !== null);
  return (
    <li
      class={`slot ${selected ? "selected" : ""}`}
      data-testid="slot"
      data-state={photo ? "photo" : (slot.item?.status ?? "waiting")}
    >
      {photo ? (
        <MadeSlot photo={photo} selected={selected} box={box} href={addressOf(slot.photo!)} onOpen={onOpen} onSelect={onSelect} />
      ) : slot.item === null ? (
        <Quiet words={wait ?? "Waiting"} />
      ) : (
        <WorkSlot item={slot.item} trouble={trouble} wait={wait} />
      )}
      {work && several && (
        <IconButton
          class="slot-cancel"
          icon={X}
          label={isCanceling(itemKey(work)) ? "Canceling…" : "Cancel this picture"}
          onClick={() => void cancelItem(work)}
        />
      )}
      {still && <span class="slot-cancel" aria-hidden="true" />}
    </li>
  );
}

/** True for a moment after it was live. */
function useJustEnded(live: boolean): boolean {
  const [still, setStill] = useState(false);
  const was = useRef(live);
  useEffect(() => {
    const ended = was.current && !live;
    was.current = live;
    if (!ended) return;
    setStill(true);
    const timer = setTimeout(() => setStill(false), STILL_MS);
    return () => clearTimeout(timer);
  }, [live]);
  return still;
}

interface MadeProps {
  photo: Signal<Photo>;
  selected: boolean;
  box: Box;
  href: string;
  onOpen: (id: string) => void;
  onSelect: (id: string) => void;
}

/** One tab stop for each picture: Enter and `s` select it, Space shows it large, `e` makes it the next step's source. */
function MadeSlot({ photo, selected, box, href, onOpen, onSelect }: MadeProps) {
  const { id } = photo.value;
  return (
    <div class="alternative" tabIndex={-1} data-testid="alternative" data-photo={id} data-selected={selected}>
      <a
        href={below(href)}
        draggable={canDrag}
        onDragStart={(event) => beginDrag(event, { list: null, ids: [id], all: null, onAdded: () => undefined })}
        aria-label={`${spokenState(photo.value)}${selected ? ", selected" : ""}`}
        data-keys="page"
        onClick={(event) => {
          event.preventDefault();
          onOpen(id);
        }}
      >
        <Picture photo={photo} box={box} />
      </a>
      <button
        type="button"
        class="slot-select"
        tabIndex={-1}
        aria-label={`Select ${spokenName(photo.value)}`}
        aria-pressed={selected}
        title={selected ? "Selected (s)" : "Select (s)"}
        onClick={() => onSelect(id)}
      >
        <Icon of={Check} />
      </button>
      {canBeSource(photo.value) && (
        <button
          type="button"
          class="slot-source"
          tabIndex={-1}
          aria-label={`Use ${spokenName(photo.value)} as source`}
          title="Use as source (e)"
          onClick={() => openAsSource(photo.value)}
        >
          <Icon of={ImagePlay} />
        </button>
      )}
      {isLost(photo.value) && canRetry(photo.value) && <RetryRetrieval photo={photo.value} />}
    </div>
  );
}

function WorkSlot({ item, trouble, wait }: { item: Item; trouble: string | null; wait: string | null }) {
  if (item.status === "failed") {
    const said = item.error === null || trouble?.includes(item.error);
    return <Ended words={said ? "Failed" : item.error!} bad />;
  }
  if (item.status === "gone") return <Ended words="No longer in InvokeAI" bad />;
  if (item.status === "canceled") return <Ended words="Canceled" />;
  if (item.status === "pending" || item.status === "waiting") return <Quiet words={wait ?? "In the queue"} />;
  return <Running item={item} wait={wait} />;
}

/** Only this redraws when a progress frame comes. */
function Running({ item, wait }: { item: Item; wait: string | null }) {
  const key = itemKey(item);
  const live = getItem(key);
  const progress = live?.progress.value ?? null;
  const frame = previewOf(key).value;
  const saving = item.status === "completed";
  const away = isAway(item.backend_id);
  const portion = saving ? 1 : (progress?.percentage ?? null);
  const seconds = live && !saving ? secondsLeft(live) : null;
  const left = seconds === null || portion === 1 ? "" : ` · ${duration(seconds)}`;
  return (
    <>
      <span class="picture">{frame && <img src={frame} alt="" />}</span>
      <span class="slot-words" data-testid="slot-progress">
        {away ? (wait ?? "Waiting for the server") : saving ? "Saving" : `${progressWords(progress)}${left}`}
      </span>
      {(portion !== null || !away) && <ProgressBar portion={portion} label="Being made" />}
    </>
  );
}

function Quiet({ words }: { words: string }) {
  return <span class="slot-quiet small">{words}</span>;
}

function Ended({ words, bad = false }: { words: string; bad?: boolean }) {
  return (
    <span class="slot-ended small" title={words}>
      <Icon of={bad ? CircleAlert : Minus} />
      <span>{words}</span>
    </span>
  );
}

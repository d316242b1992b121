import type { Signal } from "@preact/signals";
import type { Item, Photo } from "../api/types";
import { duration } from "../app/format";
import { Picture, RetryRetrieval } from "../library/picture";
import type { Box } from "../library/renditions";
import { Icon } from "../shell/icon";
import { CircleAlert, Minus } from "../shell/icons";
import { ProgressBar } from "../shell/progress-bar";
import { getItem, itemKey } from "../state/items";
import { canRetry, getPhoto, isLost, spokenState } from "../state/photos";
import { previewOf } from "../state/previews";
import { isAway } from "../state/server-alarm";
import { secondsLeft } from "../state/time-left";
import type { Slot } from "./slots";

interface SlotProps {
  slot: Slot;
  /** What the step's header says already. */
  trouble: string | null;
  picked: boolean;
  box: Box;
  addressOf: (id: string) => string;
  onOpen: (id: string) => void;
}

export function SlotView({ slot, trouble, picked, box, addressOf, onOpen }: SlotProps) {
  const photo = slot.photo === null ? undefined : getPhoto(slot.photo);
  return (
    <li class={`slot ${picked ? "picked" : ""}`} data-testid="slot" data-state={photo ? "photo" : (slot.item?.status ?? "waiting")}>
      {photo ? (
        <MadeSlot photo={photo} picked={picked} box={box} href={addressOf(slot.photo!)} onOpen={onOpen} />
      ) : slot.item === null ? (
        <Quiet words="Waiting" />
      ) : (
        <WorkSlot item={slot.item} trouble={trouble} />
      )}
    </li>
  );
}

interface MadeProps {
  photo: Signal<Photo>;
  picked: boolean;
  box: Box;
  href: string;
  onOpen: (id: string) => void;
}

function MadeSlot({ photo, picked, box, href, onOpen }: MadeProps) {
  return (
    <>
      <a
        href={href}
        aria-label={spokenState(photo.value)}
        onClick={(event) => {
          event.preventDefault();
          onOpen(photo.value.id);
        }}
      >
        <Picture photo={photo} box={box} />
      </a>
      {picked && <span class="slot-words">Picked</span>}
      {isLost(photo.value) && canRetry(photo.value) && <RetryRetrieval photo={photo.value} />}
    </>
  );
}

function WorkSlot({ item, trouble }: { item: Item; trouble: string | null }) {
  if (item.status === "failed") return <Ended words={item.error === null || item.error === trouble ? "Failed" : item.error} bad />;
  if (item.status === "gone") return <Ended words="No longer in InvokeAI" bad />;
  if (item.status === "canceled") return <Ended words="Canceled" />;
  if (item.status === "pending" || item.status === "waiting") return <Quiet words="In the queue" />;
  return <Running item={item} />;
}

/** Only this redraws when a progress frame comes. */
function Running({ item }: { item: Item }) {
  const key = itemKey(item);
  const live = getItem(key);
  const progress = live?.progress.value ?? null;
  const frame = previewOf(key).value;
  const saving = item.status === "completed";
  const away = isAway(item.backend_id);
  const portion = saving ? 1 : (progress?.percentage ?? null);
  const seconds = live && !saving ? secondsLeft(live) : null;
  const left = seconds === null ? "" : ` · ${duration(seconds)}`;
  return (
    <>
      <span class="picture">{frame && <img src={frame} alt="" />}</span>
      <span class="slot-words" data-testid="slot-progress">
        {away
          ? "Waiting for the server"
          : saving
            ? "Saving"
            : portion === null
              ? progress?.message || "Starting"
              : `${Math.round(portion * 100)} %${left}`}
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

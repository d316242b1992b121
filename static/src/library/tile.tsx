import type { Signal } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import type { Photo } from "../api/types";
import { Icon } from "../components/icon";
import { Check, Flag, FlagOff, Heart } from "../components/icons";
import { below } from "../lib/base";
import { Picture, RetryRetrieval } from "../photo/picture";
import { Stars } from "../photo/stars";
import { TimeLeft } from "../photo/trash";
import { rate, toggleFavorite } from "../state/marks";
import { canRetry, isLost, spokenName, spokenState } from "../state/photos";

const LONG_PRESS_MS = 450;

interface TileProps {
  photo: Signal<Photo>;
  href: string;
  chosen: boolean;
  active: boolean;
  /** Tab stops at it: of the whole grid, only this one. */
  isStop: boolean;
  choosing: boolean;
  box: { top: number; left: number; width: number; height: number };
  onOpen: (id: string) => void;
  onChoose: (id: string, extend: boolean) => void;
  onDrag: ((event: DragEvent, id: string) => void) | undefined;
  /** The side at which dragged photos would stand. */
  mark: "left" | "right" | null;
  /** The focus has come to it. */
  onReach: (id: string) => void;
}

/** One picture of the grid: a link to the viewer, and a circle to choose it. */
export function Tile({ photo, href, chosen, active, isStop, choosing, box, onOpen, onChoose, onDrag, mark, onReach }: TileProps) {
  const { id, rating, pick, deleted_at } = photo.value;
  const name = spokenName(photo.value);
  const stop = isStop ? 0 : -1;
  /** Stars to press are there under the pointer alone: for the keyboard there are the digits. */
  const [isPointedAt, point] = useState(false);
  const press = useRef<{ timer?: ReturnType<typeof setTimeout>; long: boolean }>({ long: false });

  const endPress = () => clearTimeout(press.current.timer);

  function click(event: MouseEvent) {
    event.preventDefault();
    if (press.current.long) press.current.long = false;
    else if (choosing || event.shiftKey || event.ctrlKey || event.metaKey) onChoose(id, event.shiftKey);
    else onOpen(id);
  }

  /** On touch, holding a picture chooses it, as in a phone's photo app. */
  function startPress(event: PointerEvent) {
    if (event.pointerType !== "touch") return;
    press.current.long = false;
    press.current.timer = setTimeout(() => {
      press.current.long = true;
      onChoose(id, false);
    }, LONG_PRESS_MS);
  }

  return (
    <div
      role="gridcell"
      aria-selected={chosen}
      onFocusIn={() => onReach(id)}
      onPointerEnter={({ pointerType }) => pointerType !== "touch" && point(true)}
      onPointerLeave={() => point(false)}
      class={`tile ${chosen ? "chosen" : ""} ${active ? "active" : ""} ${pick === "reject" ? "rejected" : ""}`}
      style={{ top: `${box.top}px`, left: `${box.left}px`, width: `${box.width}px`, height: `${box.height}px` }}
      data-testid="tile"
      data-photo={id}
      data-status={photo.value.retrieval_status}
      draggable={onDrag !== undefined}
      onDragStart={(event) => onDrag?.(event, id)}
    >
      <a
        href={below(href)}
        aria-label={spokenState(photo.value)}
        tabIndex={stop}
        data-keys="page"
        draggable={false}
        onClick={click}
        onPointerDown={startPress}
        onPointerUp={endPress}
        onPointerCancel={endPress}
        onPointerLeave={endPress}
        onContextMenu={(event) => press.current.long && event.preventDefault()}
      >
        <Picture photo={photo} box={box} />
      </a>
      {mark && <i class={`drop-mark ${mark}`} data-testid="drop-mark" />}
      {deleted_at !== null && <TimeLeft deletedAt={deleted_at} />}
      {isLost(photo.value) && canRetry(photo.value) && <RetryRetrieval photo={photo.value} isStop={isStop} />}
      <button
        type="button"
        class="choose"
        role="checkbox"
        tabIndex={stop}
        aria-checked={chosen}
        aria-label={`Select ${name}`}
        onClick={(event) => onChoose(id, event.shiftKey)}
      >
        <Icon of={Check} />
      </button>
      <button
        type="button"
        class="heart"
        tabIndex={stop}
        aria-pressed={photo.value.favorite}
        aria-label={`Favourite ${name}`}
        onClick={() => toggleFavorite(id)}
      >
        <Icon of={Heart} />
      </button>
      {deleted_at === null && (rating > 0 || isPointedAt) && (
        <Stars rating={rating} label={`Rating of ${name}`} isStop={false} onRate={(stars) => void rate(stars, [id])} />
      )}
      {pick !== null && (
        <span class={`tile-flag ${pick}`} title={pick === "pick" ? "Picked" : "Rejected"}>
          <Icon of={pick === "pick" ? Flag : FlagOff} />
        </span>
      )}
    </div>
  );
}

import type { ReadonlySignal, Signal } from "@preact/signals";
import type { Ref } from "preact";
import type { Photo } from "../api/types";
import { Icon, IconButton } from "../components/icon";
import {
  ArrowLeft,
  Check,
  ChevronLeft,
  ChevronRight,
  Download,
  FolderPlus,
  Heart,
  ImagePlay,
  Info,
  Trash2,
  Undo2,
} from "../components/icons";
import { inspectorOpen } from "../lib/preferences";
import { isPhone } from "../lib/responsive";
import { PhotoMarks } from "../photo/photo-marks";
import { canBeSource } from "../photo/source-address";
import { TimeLeft } from "../photo/trash";
import { alarms } from "../state/alarms";
import { toggleFavorite } from "../state/marks";
import { isHome } from "../state/photos";

interface ViewerBarProps {
  photo: Signal<Photo> | null;
  place: string;
  /** Null where there is nothing to zoom. */
  zoom: ReadonlySignal<number | null> | null;
  onZoom: () => void;
  download: Ref<HTMLAnchorElement>;
  /** Of moving to the trash, and in the trash of deleting for good. */
  deleteKey: string | undefined;
  onAdd: () => void;
  onSource: () => void;
  /** Whether it is its step's selection; null where there is none to make. */
  selected: boolean | null;
  onSelect: () => void;
  onTrash: () => void;
  onRestore: () => void;
  onPurge: () => void;
  onClose: () => void;
  onBefore: (() => void) | null;
  onAfter: (() => void) | null;
}

/** The viewer's controls, above the picture. */
export function ViewerBar(props: ViewerBarProps) {
  const { photo, place, zoom, onZoom, download, deleteKey, selected, onSelect, onAdd, onSource } = props;
  const { onTrash, onRestore, onPurge, onClose, onBefore, onAfter } = props;
  const trashed = photo !== null && photo.value.deleted_at !== null;
  return (
    <div class="viewer-bar">
      <IconButton icon={ArrowLeft} label="Back" keys="Esc" onClick={onClose} />
      {place && (
        <div class="viewer-place">
          <IconButton icon={ChevronLeft} label="Previous" keys="←" disabled={!onBefore} onClick={() => onBefore?.()} />
          <span class="small">{place}</span>
          <IconButton icon={ChevronRight} label="Next" keys="→" disabled={!onAfter} onClick={() => onAfter?.()} />
        </div>
      )}
      {photo?.value.deleted_at != null && <TimeLeft deletedAt={photo.value.deleted_at} />}
      {zoom && <Zoom level={zoom} onPress={onZoom} />}
      <div class="rest" />
      <Trouble />
      {photo && !trashed && !isPhone.value && !inspectorOpen.value && <PhotoMarks photo={photo.value} />}
      {photo && !trashed && (
        <IconButton
          class="favorite"
          icon={Heart}
          label="Favourite"
          keys="f"
          pressed={photo.value.favorite}
          onClick={() => toggleFavorite(photo.value.id)}
        />
      )}
      {photo && isHome(photo.value) && (
        <a
          class="icon-button"
          ref={download}
          href={`${photo.value.url}?download`}
          download
          title="Download (d)"
          aria-label="Download"
        >
          <Icon of={Download} />
        </a>
      )}
      {photo && !trashed && selected !== null && (
        <IconButton class="selects" icon={Check} label="Select" keys="s" pressed={selected} onClick={onSelect} />
      )}
      {photo && canBeSource(photo.value) && (
        <IconButton class="as-source" icon={ImagePlay} label="Use as source" keys="e" onClick={onSource} />
      )}
      {photo && !trashed && <IconButton icon={FolderPlus} label="Add to an album" keys="+" class="to-album" onClick={onAdd} />}
      {trashed && <IconButton icon={Undo2} label="Restore" keys="r" onClick={onRestore} />}
      {photo && (
        <IconButton
          icon={Trash2}
          label={trashed ? "Delete for good" : "Move to the trash"}
          keys={deleteKey}
          onClick={trashed ? onPurge : onTrash}
        />
      )}
      <IconButton
        icon={Info}
        label="Info"
        keys="i"
        pressed={inspectorOpen.value}
        onClick={() => (inspectorOpen.value = !inspectorOpen.value)}
      />
    </div>
  );
}

/** What the page below says of it, in a word. */
function Trouble() {
  const [worst] = alarms.value;
  if (worst?.tone !== "bad") return null;
  return (
    <span class="viewer-trouble small" role="status" title={worst.words}>
      <span class={`dot ${worst.tone}`} />
      <span class="ellipsis">{worst.words}</span>
    </span>
  );
}

/** How large the picture stands; a press does what `z` does. */
function Zoom({ level, onPress }: { level: ReadonlySignal<number | null>; onPress: () => void }) {
  if (level.value === null) return null;
  const percentage = `${Math.round(level.value * 100)} %`;
  return (
    <button
      type="button"
      class="viewer-zoom small"
      title="Fit or 100 % (z)"
      aria-label={`Zoom: ${percentage}`}
      data-testid="zoom"
      onClick={onPress}
    >
      {percentage}
    </button>
  );
}

import type { Signal } from "@preact/signals";
import type { Ref } from "preact";
import type { Photo } from "../api/types";
import { inspectorOpen } from "../app/preferences";
import { Icon, IconButton } from "../shell/icon";
import { ArrowLeft, ChevronLeft, ChevronRight, Download, Heart, Info, Trash2, Undo2 } from "../shell/icons";
import { toggleFavorite } from "../state/photo-actions";
import { isHome } from "../state/photos";

interface ViewerBarProps {
  photo: Signal<Photo> | null;
  place: string;
  download: Ref<HTMLAnchorElement>;
  trashKey: string | undefined;
  onTrash: () => void;
  onClose: () => void;
  onBefore: (() => void) | null;
  onAfter: (() => void) | null;
}

/** The viewer's controls, over the picture. */
export function ViewerBar({ photo, place, download, trashKey, onTrash, onClose, onBefore, onAfter }: ViewerBarProps) {
  const trashed = photo !== null && photo.value.deleted_at !== null;
  return (
    <>
      <div class="viewer-bar">
        <IconButton icon={ArrowLeft} label="Back" keys="Esc" onClick={onClose} />
        <span class="small">{place}</span>
        <div class="rest" />
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
        {photo && !trashed && (
          <IconButton
            class="favorite"
            icon={Heart}
            label="Favourite"
            keys="f"
            pressed={photo.value.favorite}
            onClick={() => toggleFavorite([photo.value.id])}
          />
        )}
        {photo && (
          <IconButton
            icon={trashed ? Undo2 : Trash2}
            label={trashed ? "Restore" : "Move to the trash"}
            keys={trashKey}
            onClick={onTrash}
          />
        )}
        <IconButton
          icon={Info}
          label="How it was made"
          keys="i"
          pressed={inspectorOpen.value}
          onClick={() => (inspectorOpen.value = !inspectorOpen.value)}
        />
      </div>
      {onBefore && <IconButton class="viewer-step before" icon={ChevronLeft} label="Previous" keys="←" onClick={onBefore} />}
      {onAfter && <IconButton class="viewer-step after" icon={ChevronRight} label="Next" keys="→" onClick={onAfter} />}
    </>
  );
}

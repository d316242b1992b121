import type { Signal } from "@preact/signals";
import type { Ref } from "preact";
import type { Photo } from "../api/types";
import { inspectorOpen } from "../app/preferences";
import { Icon, IconButton } from "../shell/icon";
import { ArrowLeft, ChevronLeft, ChevronRight, Download, Heart, Info, Trash2, Undo2 } from "../shell/icons";
import { toggleFavorite } from "../state/photo-actions";
import { isHome } from "../state/photos";
import { TimeLeft } from "./time-left";

interface ViewerBarProps {
  photo: Signal<Photo> | null;
  place: string;
  download: Ref<HTMLAnchorElement>;
  /** Of moving to the trash, and in the trash of deleting for good. */
  deleteKey: string | undefined;
  onTrash: () => void;
  onRestore: () => void;
  onPurge: () => void;
  onClose: () => void;
  onBefore: (() => void) | null;
  onAfter: (() => void) | null;
}

/** The viewer's controls, over the picture. */
export function ViewerBar(props: ViewerBarProps) {
  const { photo, place, download, deleteKey, onTrash, onRestore, onPurge, onClose, onBefore, onAfter } = props;
  const trashed = photo !== null && photo.value.deleted_at !== null;
  return (
    <>
      <div class="viewer-bar">
        <IconButton icon={ArrowLeft} label="Back" keys="Esc" onClick={onClose} />
        <span class="small">{place}</span>
        {photo?.value.deleted_at != null && <TimeLeft deletedAt={photo.value.deleted_at} />}
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

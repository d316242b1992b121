import { askAlbum } from "../albums/album-shelf";
import { Icon, IconButton } from "../components/icon";
import { ChevronLeft, ChevronRight, ChevronsLeft, ChevronsRight, FolderMinus, FolderPlus, ImageUp } from "../components/icons";
import { useKeys } from "../lib/keys";
import { toast, toastFailure } from "../lib/toasts";
import { removeFromAlbum, type Target } from "../state/album-actions";
import { updateAlbum } from "../state/albums";
import type { PhotoList } from "../state/photo-list";
import { moveWithin, type Where } from "./arrange";
import type { Selection } from "./selection";

interface SelectionActionsProps {
  list: PhotoList;
  selection: Selection;
  target: Target;
  /** Null where the number of chosen photos is not known. */
  many: number | null;
}

const MOVES: { where: Where; icon: typeof ChevronLeft; label: string; keys: string }[] = [
  { where: "first", icon: ChevronsLeft, label: "Move to the front", keys: "Alt+Home" },
  { where: "earlier", icon: ChevronLeft, label: "Move earlier", keys: "Alt+←" },
  { where: "later", icon: ChevronRight, label: "Move later", keys: "Alt+→" },
  { where: "last", icon: ChevronsRight, label: "Move to the end", keys: "Alt+End" },
];

/** What the selection's bar offers of albums: adding to one, and in one removing, moving, and the cover. */
export function SelectionActions({ list, selection, target, many }: SelectionActionsProps) {
  const add = () => askAlbum(target, many, selection.clear);
  const { album } = list.filter;
  const remove = () => {
    if (album === null) return;
    selection.clear();
    void removeFromAlbum(target, album);
  };
  useKeys(album === null ? { "+": add } : { "+": add, "-": remove });
  const only = target.all === null && target.ids.length === 1 ? target.ids[0] : undefined;
  return (
    <>
      {album !== null && (
        <span class="selection-album">
          {list.ordered && target.all === null && (
            <span class="selection-moves" role="group" aria-label="Move in the album">
              {MOVES.map(({ where, icon, label, keys }) => (
                <IconButton
                  key={where}
                  icon={icon}
                  label={label}
                  keys={keys}
                  onClick={() => void moveWithin(list, target.ids, where)}
                />
              ))}
            </span>
          )}
          <button
            type="button"
            class="button"
            title="Use as the album's cover"
            disabled={only === undefined}
            onClick={() => only !== undefined && void setCover(album, only)}
          >
            <Icon of={ImageUp} />
            <span>Cover</span>
          </button>
          <button type="button" class="button" title="Remove from this album (-)" onClick={remove}>
            <Icon of={FolderMinus} />
            <span>Remove</span>
          </button>
        </span>
      )}
      <button type="button" class="button" title="Add to an album (+)" onClick={add}>
        <Icon of={FolderPlus} />
        <span>Add to album</span>
      </button>
    </>
  );
}

async function setCover(album: string, photo: string): Promise<void> {
  try {
    await updateAlbum(album, { cover_photo_id: photo });
    toast("This photo is the album's cover now");
  } catch (failure) {
    toastFailure("Not changed.", failure);
  }
}

import { count } from "../app/format";
import { Icon, IconButton } from "../shell/icon";
import { Heart, Trash2, Undo2, X } from "../shell/icons";
import { restorePhotos, toggleFavorite, trashPhotos } from "../state/photo-actions";
import type { Selection } from "./selection";

/** Stands where the toolbar stood while photos are chosen. */
export function SelectionBar({ selection, trashed }: { selection: Selection; trashed: boolean }) {
  const ids = [...selection.chosen.value];
  const act = (run: (ids: string[]) => Promise<void>) => () => {
    selection.clear();
    void run(ids);
  };
  return (
    <div class="selection-bar" data-testid="selection-bar">
      <IconButton icon={X} label="Clear the selection" keys="Esc" onClick={selection.clear} />
      <strong>{count(ids.length, "photo")}</strong>
      <div class="rest" />
      {!trashed && (
        <button type="button" class="button" onClick={() => toggleFavorite(ids)}>
          <Icon of={Heart} />
          Favourite
        </button>
      )}
      {trashed ? (
        <button type="button" class="button" onClick={act(restorePhotos)}>
          <Icon of={Undo2} />
          Restore
        </button>
      ) : (
        <button type="button" class="button" onClick={act(trashPhotos)}>
          <Icon of={Trash2} />
          Trash
        </button>
      )}
    </div>
  );
}

import { Icon, IconButton } from "../components/icon";
import { Heart, ImagePlay, Trash2, Undo2, X } from "../components/icons";
import { count } from "../lib/format";
import { useKeys } from "../lib/keys";
import { canBeSource, openAsSource } from "../photo/source-address";
import { flag, markKeys, rate, setFavorite } from "../state/marks";
import { type Act, restorePhotos, type ToPurge, trashPhotos } from "../state/photo-actions";
import type { PhotoList } from "../state/photo-list";
import { getPhoto } from "../state/photos";
import { MarkActions } from "./mark-actions";
import type { Selection } from "./selection";
import { SelectionActions } from "./selection-actions";
import { type Share, useChosen } from "./use-chosen";

interface SelectionBarProps {
  list: PhotoList;
  selection: Selection;
  /** Asks first. */
  onPurge: (what: ToPurge) => void;
}

const PRESSED: Record<Share, boolean | "mixed"> = { all: true, some: "mixed", none: false };

/** Stands where the toolbar stood while photos are chosen. */
export function SelectionBar({ list, selection, onPurge }: SelectionBarProps) {
  const { ids, all, count: many, favorites } = useChosen(list, selection);
  const act = (run: Act) => () => {
    selection.clear();
    void run(ids, all);
  };
  const favor = () => favorites !== null && void setFavorite(favorites !== "all", ids, all);
  const { trashed } = list.filter;
  const first = all === null && ids.length === 1 ? getPhoto(ids[0]!)?.value : undefined;
  const only = first && canBeSource(first) ? first : null;
  const use = () => only && openAsSource(only);
  // Asked before the grid's own keys, which are for the one photo that they stand on.
  const marks = markKeys({
    favorite: favor,
    rate: (rating) => void rate(rating, ids, all),
    flag: (pick) => void flag(pick, ids, all),
  });
  useKeys(
    trashed ? { r: act(restorePhotos), Delete: () => onPurge({ ids, all, many }) } : { ...marks, e: use, Delete: act(trashPhotos) },
  );
  const isAll = selection.everything.value?.except.size === 0 || (!list.more.value && ids.length === list.ids.value.length);
  return (
    <div class="selection-bar" data-testid="selection-bar">
      <IconButton icon={X} label="Clear the selection" keys="Esc" onClick={selection.clear} />
      <strong aria-live="polite">
        {many === null ? (list.filter.q === null ? "All photos" : "All found") : count(many, "photo")}
      </strong>
      {!isAll && (
        <button type="button" class="button quiet" title="Select all (Ctrl+A)" onClick={selection.chooseAll}>
          Select all
        </button>
      )}
      <div class="rest" />
      {trashed ? (
        <div class="selection-actions">
          <button type="button" class="button" title="Restore (r)" onClick={act(restorePhotos)}>
            <Icon of={Undo2} />
            <span>Restore</span>
          </button>
          <button type="button" class="button danger" title="Delete for good (Del)" onClick={() => onPurge({ ids, all, many })}>
            <Icon of={Trash2} />
            <span>Delete for good</span>
          </button>
        </div>
      ) : (
        <div class="selection-actions">
          <SelectionActions list={list} selection={selection} target={{ ids, all }} many={many} />
          <button
            type="button"
            class={`button favorite ${favorites ?? ""}`}
            title={favorites === "all" ? "Remove from the favourites (f)" : "Add to the favourites (f)"}
            aria-pressed={PRESSED[favorites ?? "none"]}
            disabled={favorites === null}
            onClick={favor}
          >
            <Icon of={Heart} />
            <span>Favourite</span>
          </button>
          <MarkActions ids={ids} all={all} />
          <button
            type="button"
            class="button"
            title={only ? "Use as source (e)" : "Use as source: one photo that is home"}
            disabled={only === null}
            onClick={use}
          >
            <Icon of={ImagePlay} />
            <span>Use as source</span>
          </button>
          <button type="button" class="button" title="Move to the trash (Del)" onClick={act(trashPhotos)}>
            <Icon of={Trash2} />
            <span>Trash</span>
          </button>
        </div>
      )}
    </div>
  );
}

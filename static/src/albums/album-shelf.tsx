import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { Album } from "../api/types";
import { Icon } from "../components/icon";
import { Plus } from "../components/icons";
import { count } from "../lib/format";
import { dragged, dropTarget } from "../photo/drag";
import { addToAlbum, addToNewAlbum, type Target } from "../state/album-actions";
import { albums, needAlbums } from "../state/albums";
import { AlbumForm } from "./album-dialog";
import { AlbumPicker } from "./album-picker";
import { Cover } from "./cover";

const MOST_SHOWN = 12;

/** The pointer is on the rail's entry. */
const onRail = signal(false);
/** Photos for which an album is asked, over the page that is open. */
const asked = signal<{ target: Target; many: number | null; onPicked: () => void } | null>(null);

/** Asks which album they are added to. `many`: null where their number is not known. */
export function askAlbum(target: Target, many: number | null, onPicked: () => void): void {
  asked.value = { target, many, onPicked };
}

/** What makes the rail's entry take photos. */
export const albumsPlace = dropTarget(
  (what) => {
    onRail.value = false;
    askAlbum(what, what.all ? null : what.ids.length, what.onAdded);
  },
  (over) => (onRail.value = over),
);

/** While photos are dragged: the albums that were changed last, to drop them on. */
export function AlbumShelf() {
  const what = dragged.value;
  const [naming, name] = useState<(Target & { onAdded: () => void }) | null>(null);
  useEffect(() => {
    if (what === null) onRail.value = false;
    else needAlbums();
  }, [what === null]);
  // In an album's own order they are on their way to another place in it, and in the studio to be a source, unless they
  // are led here.
  const isOpen = what !== null && (what.list?.ordered === false || onRail.value);
  const add = (album: Album) =>
    dropTarget((target) => {
      target.onAdded();
      void addToAlbum(target, album);
    });
  const shown = albums.value?.filter(({ id }) => id !== what?.list?.filter.album).slice(0, MOST_SHOWN) ?? [];
  return (
    <>
      {isOpen && (
        <aside class={`album-shelf ${what.fromLeft && !onRail.value ? "right" : ""}`} aria-label="Albums" data-testid="album-shelf">
          <h2 class="label">Drop on an album</h2>
          <ul class="scroll">
            <li class="shelf-card new" data-testid="new-album-card" {...dropTarget(name)}>
              <span class="album-cover">
                <Icon of={Plus} />
              </span>
              <strong>New album</strong>
            </li>
            {shown.map((album) => (
              <li key={album.id} class="shelf-card" data-testid="album-card" data-album={album.id} {...add(album)}>
                <Cover album={album} />
                <strong class="ellipsis">{album.name}</strong>
                <span class="small muted">{count(album.photo_count, "photo")}</span>
              </li>
            ))}
          </ul>
        </aside>
      )}
      {naming && (
        <AlbumForm
          title="New album"
          action="Create"
          onSave={(called, description) => {
            naming.onAdded();
            void addToNewAlbum(called, description, naming);
          }}
          onClose={() => name(null)}
        />
      )}
      {asked.value && <AlbumPicker {...asked.value} onClose={() => (asked.value = null)} />}
    </>
  );
}

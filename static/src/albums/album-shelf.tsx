import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { Album } from "../api/types";
import { count } from "../app/format";
import { Icon } from "../shell/icon";
import { Plus } from "../shell/icons";
import { addToAlbum, addToNewAlbum, type Target } from "../state/album-actions";
import { albums, needAlbums } from "../state/albums";
import { AlbumForm } from "./album-dialog";
import { AlbumPicker } from "./album-picker";
import { Cover } from "./cover";
import { type Dragged, dragged, dropTarget } from "./drag";

const MOST_SHOWN = 12;

/** The pointer is on the rail's entry. */
const onRail = signal(false);
/** Dropped there: which album is asked. */
const asked = signal<Dragged | null>(null);

/** What makes the rail's entry take photos. */
export const albumsPlace = dropTarget(
  (what) => {
    onRail.value = false;
    asked.value = what;
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
  // In an album's own order they are on their way to another place in it, unless they are led here.
  const isOpen = what !== null && (!what.list.ordered || onRail.value);
  const add = (album: Album) =>
    dropTarget((target) => {
      target.onAdded();
      void addToAlbum(target, album);
    });
  const shown = albums.value?.filter(({ id }) => id !== what?.list.filter.album).slice(0, MOST_SHOWN) ?? [];
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
      {asked.value && (
        <AlbumPicker
          target={asked.value}
          many={asked.value.all ? null : asked.value.ids.length}
          onPicked={asked.value.onAdded}
          onClose={() => (asked.value = null)}
        />
      )}
    </>
  );
}

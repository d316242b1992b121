import { useEffect, useState } from "preact/hooks";
import type { Album } from "../api/types";
import { Dialog } from "../components/dialog";
import { Icon } from "../components/icon";
import { Check, Plus } from "../components/icons";
import { count } from "../lib/format";
import { addToAlbum, addToNewAlbum, type Target } from "../state/album-actions";
import { albums, albumsError, loadAlbums, needAlbums } from "../state/albums";
import { getPhoto } from "../state/photos";
import { Cover } from "./cover";

/** More are found by their names. */
const MOST_SHOWN = 100;

interface AlbumPickerProps {
  target: Target;
  /** How many photos that is; null where that is not known. */
  many: number | null;
  onPicked?: () => void;
  onClose: () => void;
}

/** Asks which album photos are added to; a new one is made by its name. */
export function AlbumPicker({ target, many, onPicked, onClose }: AlbumPickerProps) {
  const [text, setText] = useState("");
  useEffect(needAlbums, []);
  const name = text.trim();
  const words = name.toLocaleLowerCase();
  const found = albums.value?.filter((album) => album.name.toLocaleLowerCase().includes(words)) ?? [];
  const isKnown = found.some((album) => album.name.toLocaleLowerCase() === words);
  const pick = (album: Album) => {
    onPicked?.();
    onClose();
    void addToAlbum(target, album);
  };
  const make = () => {
    onPicked?.();
    onClose();
    void addToNewAlbum(name, null, target);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const [only] = found;
    if (name === "" || albums.value === null) return;
    if (found.length === 1 && only) pick(only);
    else if (found.length === 0) make();
  };
  return (
    <Dialog title={many === null ? "Add to an album" : `Add ${count(many, "photo")} to an album`} onClose={onClose}>
      <form class="album-picker" onSubmit={submit} data-testid="album-picker">
        <input
          class="input"
          type="text"
          aria-label="Find an album, or name a new one"
          placeholder="Find an album, or name a new one"
          maxLength={200}
          value={text}
          autofocus
          onInput={(event) => setText(event.currentTarget.value)}
        />
        {albums.value === null && albumsError.value !== null && (
          <p class="bad small">
            {albumsError.value}{" "}
            <button type="button" class="button compact" onClick={() => void loadAlbums()}>
              Try again
            </button>
          </p>
        )}
        <ul class="album-choices scroll" aria-label="Albums">
          {found.slice(0, MOST_SHOWN).map((album) => (
            <Choice key={album.id} album={album} isIn={isIn(target, album)} onPick={() => pick(album)} />
          ))}
        </ul>
        {albums.value !== null && found.length === 0 && (
          <p class="small muted">{name === "" ? "There is no album yet: name the first one." : "No album has this name."}</p>
        )}
        <div class="dialog-actions">
          <button type="button" class="button quiet" onClick={onClose}>
            Cancel
          </button>
          <button type="button" class="button primary" disabled={name === "" || isKnown} onClick={make}>
            <Icon of={Plus} />
            <span class="ellipsis">{name === "" || isKnown ? "New album" : `New album “${name}”`}</span>
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Is all of it in the album already, as far as the page knows? */
function isIn({ ids, all }: Target, album: Album): boolean {
  return (
    all === null &&
    ids.every((id) =>
      getPhoto(id)
        ?.peek()
        .albums.some((one) => one.id === album.id),
    )
  );
}

function Choice({ album, isIn, onPick }: { album: Album; isIn: boolean; onPick: () => void }) {
  return (
    <li>
      <button type="button" disabled={isIn} onClick={onPick}>
        <Cover album={album} />
        <span class="ellipsis">{album.name}</span>
        <span class="small muted">{isIn ? "Already in it" : count(album.photo_count, "photo")}</span>
        {isIn && <Icon of={Check} />}
      </button>
    </li>
  );
}

import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import type { Photo } from "../api/types";
import { Icon, IconButton } from "../components/icon";
import { Plus, X } from "../components/icons";
import { removeFromAlbum } from "../state/album-actions";
import { albumsOf } from "../state/albums";
import { AlbumPicker } from "./album-picker";

/** The albums that a photo is in, for its info. */
export function PhotoAlbums({ photo }: { photo: Photo }) {
  const [adding, add] = useState(false);
  const target = { ids: [photo.id], all: null };
  return (
    <div class="photo-albums" data-testid="photo-albums">
      <ul aria-label="Albums of this photo">
        {albumsOf(photo).map(({ id, name }) => (
          <li key={id}>
            <Link href={`/albums/${id}`} class="ellipsis" title={name}>
              {name}
            </Link>
            <IconButton icon={X} label={`Remove from ${name}`} onClick={() => void removeFromAlbum(target, id)} />
          </li>
        ))}
      </ul>
      {photo.deleted_at === null && (
        <button type="button" class="button compact" onClick={() => add(true)}>
          <Icon of={Plus} />
          Add to an album
        </button>
      )}
      {adding && <AlbumPicker target={target} many={1} onClose={() => add(false)} />}
    </div>
  );
}

import { useState } from "preact/hooks";
import type { Album } from "../api/types";
import { IconButton } from "../shell/icon";
import { Pencil, Trash2 } from "../shell/icons";
import { removeAlbum } from "../state/album-actions";
import { EditAlbum } from "./album-dialog";

/** Edit and delete. Deleting does not ask: it can be undone. */
export function AlbumMenu({ album, onDeleted }: { album: Album; onDeleted?: () => void }) {
  const [editing, edit] = useState(false);
  const remove = () => {
    void removeAlbum(album);
    onDeleted?.();
  };
  return (
    <span class="album-menu">
      <IconButton icon={Pencil} label={`Edit ${album.name}`} onClick={() => edit(true)} />
      <IconButton icon={Trash2} label={`Delete ${album.name}`} onClick={remove} />
      {editing && <EditAlbum album={album} onClose={() => edit(false)} />}
    </span>
  );
}

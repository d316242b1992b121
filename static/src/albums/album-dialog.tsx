import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Album } from "../api/types";
import { Dialog } from "../components/dialog";
import { IconButton } from "../components/icon";
import { Pencil, Trash2 } from "../components/icons";
import { toastFailure } from "../lib/toasts";
import { removeAlbum } from "../state/album-actions";
import { updateAlbum } from "../state/albums";

const LONGEST_NAME = 200;
const LONGEST_DESCRIPTION = 10_000;

interface AlbumFormProps {
  title: string;
  action: string;
  name?: string;
  description?: string | null;
  onSave: (name: string, description: string | null) => void;
  onClose: () => void;
  /** What else can be done there. */
  children?: ComponentChildren;
}

/** What an album is called, and what is said of it. */
export function AlbumForm({ title, action, name = "", description = null, onSave, onClose, children }: AlbumFormProps) {
  const [called, setName] = useState(name);
  const [said, setDescription] = useState(description ?? "");
  return (
    <Dialog title={title} onClose={onClose}>
      <form method="dialog" class="album-form" onSubmit={() => onSave(called.trim(), said.trim() || null)}>
        <label class="field">
          <span class="label">Name</span>
          <input
            class="input"
            required
            maxLength={LONGEST_NAME}
            value={called}
            autofocus
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span class="label">Description</span>
          <textarea
            class="input"
            rows={3}
            maxLength={LONGEST_DESCRIPTION}
            value={said}
            onInput={(event) => setDescription(event.currentTarget.value)}
          />
        </label>
        <div class="dialog-actions">
          {children}
          <button type="button" class="button quiet" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={called.trim() === ""}>
            {action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function EditAlbum({ album, onClose }: { album: Album; onClose: () => void }) {
  async function change(what: Parameters<typeof updateAlbum>[1]) {
    try {
      await updateAlbum(album.id, what);
    } catch (failure) {
      toastFailure("Not changed.", failure);
    }
  }
  const resetCover = () => {
    void change({ cover_photo_id: null });
    onClose();
  };
  return (
    <AlbumForm
      title="Edit the album"
      action="Save"
      name={album.name}
      description={album.description}
      onSave={(name, description) => void change({ name, description })}
      onClose={onClose}
    >
      {album.photo_count > 0 && (
        <button type="button" class="button quiet reset-cover" onClick={resetCover}>
          First photo as cover
        </button>
      )}
    </AlbumForm>
  );
}

/** Edit and delete. Deleting does not ask: it can be undone. */
export function AlbumMenu({ album, onDeleted }: { album: Album; onDeleted?: () => void }) {
  const [editing, edit] = useState(false);
  const remove = () => {
    void removeAlbum(album);
    onDeleted?.();
  };
  return (
    <span class="card-menu">
      <IconButton icon={Pencil} label={`Edit ${album.name}`} onClick={() => edit(true)} />
      <IconButton icon={Trash2} label={`Delete ${album.name}`} onClick={remove} />
      {editing && <EditAlbum album={album} onClose={() => edit(false)} />}
    </span>
  );
}

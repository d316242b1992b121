import { useState } from "preact/hooks";
import type { Session } from "../api/types";
import { Confirm, Dialog } from "../components/dialog";
import { IconButton } from "../components/icon";
import { Pencil, Trash2 } from "../components/icons";
import { toast, toastFailure } from "../lib/toasts";
import { deleteSession, renameSession } from "../state/sessions";

/** Rename and delete. */
export function SessionMenu({ session, onDeleted }: { session: Session; onDeleted?: () => void }) {
  const [asking, ask] = useState<"name" | "delete" | null>(null);
  const close = () => ask(null);
  async function remove() {
    try {
      await deleteSession(session.id);
      toast(`“${session.name}” was deleted; its photos stay in the library`);
      onDeleted?.();
    } catch (failure) {
      toastFailure("Not deleted.", failure);
    }
  }
  return (
    <span class="card-menu">
      <IconButton icon={Pencil} label={`Rename ${session.name}`} onClick={() => ask("name")} />
      <IconButton icon={Trash2} label={`Delete ${session.name}`} onClick={() => ask("delete")} />
      {asking === "name" && <Rename session={session} onClose={close} />}
      {asking === "delete" && (
        <Confirm
          title="Delete this session?"
          text={`“${session.name}” and its tree go. Every photo it made stays in the library.`}
          action="Delete the session"
          onConfirm={() => void remove()}
          onClose={close}
        />
      )}
    </span>
  );
}

function Rename({ session, onClose }: { session: Session; onClose: () => void }) {
  const [name, setName] = useState(session.name);
  async function save() {
    try {
      await renameSession(session.id, name.trim());
    } catch (failure) {
      toastFailure("Not renamed.", failure);
    }
  }
  return (
    <Dialog title="Rename the session" onClose={onClose}>
      <form method="dialog" onSubmit={() => void save()}>
        <label class="field">
          <span class="label">Name</span>
          <input
            class="input"
            required
            maxLength={200}
            value={name}
            autofocus
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <div class="dialog-actions">
          <button type="button" class="button quiet" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={name.trim() === ""}>
            Rename
          </button>
        </div>
      </form>
    </Dialog>
  );
}

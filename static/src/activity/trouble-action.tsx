import { useState } from "preact/hooks";
import { answerOf, api } from "../api/client";
import type { Backend } from "../api/types";
import { toastFailure } from "../lib/toasts";
import { putBackend } from "../state/backends";

interface Action {
  label: string;
  /** Asked once more before it is done. */
  really?: string;
  path: "/api/v1/backends/{backend_id}/seen" | "/api/v1/backends/{backend_id}/confirm-gone";
  failed: string;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  images_gone: { label: "Seen", path: "/api/v1/backends/{backend_id}/seen", failed: "Not marked as seen." },
  images_missing: {
    label: "They were deleted",
    really: "Really deleted",
    path: "/api/v1/backends/{backend_id}/confirm-gone",
    failed: "Not confirmed.",
  },
};

/** What the owner can say about a server's trouble; nothing for a trouble that ends by itself. */
export function TroubleAction({ server, code }: { server: Backend; code: string }) {
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState(false);
  const action = ACTIONS[code];
  if (!action) return null;

  async function press({ really, path, failed }: Action) {
    if (really !== undefined && !asked) return setAsked(true);
    setBusy(true);
    try {
      putBackend(await answerOf(api.POST(path, { params: { path: { backend_id: server.id } } })));
    } catch (failure) {
      toastFailure(failed, failure);
    }
    setAsked(false);
    setBusy(false);
  }

  return (
    <button type="button" class="button compact" disabled={busy} onClick={() => void press(action)}>
      {asked ? action.really : action.label}
    </button>
  );
}

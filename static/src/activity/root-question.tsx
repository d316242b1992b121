import { useId, useRef, useState } from "preact/hooks";
import { answerOf, api } from "../api/client";
import type { Backend } from "../api/types";
import { toastFailure } from "../lib/toasts";
import { putBackend } from "../state/backends";

/** Asked once, where the provider does not tell whether InvokeAI's folder survives a stop. */
export function RootQuestion({ server }: { server: Backend }) {
  const [busy, setBusy] = useState(false);
  const element = useRef<HTMLDivElement>(null);
  const id = useId();

  async function say(survives: boolean) {
    setBusy(true);
    // The buttons go away with the answer; the focus stays on this card.
    const edit = element.current?.closest("li")?.querySelector<HTMLButtonElement>("header button:last-of-type");
    try {
      const now = await answerOf(
        api.PATCH("/api/v1/backends/{backend_id}", {
          params: { path: { backend_id: server.id } },
          body: { root_confirmed: survives },
        }),
      );
      edit?.focus();
      putBackend(now);
    } catch (failure) {
      toastFailure("It could not be said.", failure);
      setBusy(false);
    }
  }

  return (
    <div class="root-question" role="group" aria-labelledby={id} data-testid="root-question" ref={element}>
      <p id={id}>Is InvokeAI's folder (its images and database) on a disk of this pod that survives a stop?</p>
      <p class="small muted">
        The provider does not tell. It has to be on the pod's volume, usually below /workspace; what is elsewhere is wiped at each
        stop. Until this is answered, the pod is not stopped by itself.
      </p>
      <div class="root-answers">
        <button type="button" class="button" disabled={busy} onClick={() => void say(true)}>
          Yes, it survives
        </button>
        <button type="button" class="button" disabled={busy} onClick={() => void say(false)}>
          No
        </button>
      </div>
    </div>
  );
}

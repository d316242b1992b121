import { useId, useRef, useState } from "preact/hooks";
import { answerOf, api } from "../api/client";
import type { Backend } from "../api/types";
import { toast, toastFailure } from "../lib/toasts";
import { putBackend } from "../state/backends";

/** What the owner can say of an InvokeAI that was not recognised. */
export function IdentityChoice({ server }: { server: Backend }) {
  const [busy, setBusy] = useState(false);
  const element = useRef<HTMLDivElement>(null);

  async function say(same: boolean) {
    setBusy(true);
    // The buttons go away with the answer; the focus stays on this card.
    const edit = element.current?.closest("li")?.querySelector<HTMLButtonElement>("header button:last-of-type");
    try {
      const now = await answerOf(
        api.POST("/api/v1/backends/{backend_id}/identity", { params: { path: { backend_id: server.id } }, body: { same } }),
      );
      edit?.focus();
      putBackend(now);
      toast(same ? `${server.name} goes on at this address` : `${now.name} is a new server; ${server.name} is switched off`);
    } catch (failure) {
      toastFailure("It could not be said.", failure);
      setBusy(false);
    }
  }

  return (
    <div
      ref={element}
      class="identity-choice"
      role="group"
      aria-label={`What answers at the address of ${server.name}`}
      data-testid="identity-choice"
    >
      <Answer
        words="It is the same server"
        meaning="It moved here, or its images were deleted there. Work and images go on with it."
        busy={busy}
        onSay={() => void say(true)}
      />
      <Answer
        words="It is a new one"
        meaning={`A new server gets this address. ${server.name} keeps its images and its work, and is switched off until you switch it on again.`}
        busy={busy}
        onSay={() => void say(false)}
      />
    </div>
  );
}

function Answer({ words, meaning, busy, onSay }: { words: string; meaning: string; busy: boolean; onSay: () => void }) {
  const id = useId();
  return (
    <div>
      <button type="button" class="button" aria-describedby={id} disabled={busy} onClick={onSay}>
        {words}
      </button>
      <p id={id} class="small muted">
        {meaning}
      </p>
    </div>
  );
}

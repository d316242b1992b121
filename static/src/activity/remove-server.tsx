import { useState } from "preact/hooks";
import { ApiError, api } from "../api/client";
import type { Backend } from "../api/types";
import { toast } from "../lib/toasts";
import { dropBackend } from "../state/backends";

interface RemoveProps {
  server: Backend;
  busy: boolean;
  attempt: (work: (isMeant: () => boolean) => Promise<void>) => Promise<void>;
  onRemoved: () => void;
}

const REMOVE_WORDS = { calm: "Remove", asked: "Really remove", despite: "Remove anyway" };

/** Asks once, and once more while photos are on their way: they would never come home. */
export function RemoveServer({ server, busy, attempt, onRemoved }: RemoveProps) {
  const [state, setState] = useState<keyof typeof REMOVE_WORDS>("calm");
  const remove = () =>
    attempt(async () => {
      try {
        await api.DELETE("/api/v1/backends/{backend_id}", {
          params: { path: { backend_id: server.id }, query: { confirm: state === "despite" } },
        });
      } catch (failure) {
        if (failure instanceof ApiError && failure.code === "conflict") setState("despite");
        throw failure;
      }
      dropBackend(server.id);
      toast(`${server.name} was removed; its photos stay in the library`);
      onRemoved();
    });
  return (
    <button
      type="button"
      class="button danger"
      disabled={busy}
      onClick={(event) => {
        if (state === "calm") setState("asked");
        // A double click is one answer.
        else if (event.detail <= 1) void remove();
      }}
    >
      {REMOVE_WORDS[state]}
    </button>
  );
}

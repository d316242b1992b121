import { useState } from "preact/hooks";
import { ApiError, answerOf, api, reasonOf } from "../api/client";
import type { Backend } from "../api/types";
import { count } from "../app/format";
import { toast } from "../app/toasts";
import { Dialog } from "../shell/dialog";
import { dropBackend, putBackend } from "../state/backends";

interface Form {
  name: string;
  url: string;
  email: string;
  password: string;
  mirror: Backend["mirror"];
  enabled: boolean;
}

/** Scheme, host and port: what a login is kept for. Null while the address is half typed. */
function originOf(url: string): string | null {
  try {
    return new URL(url.trim()).origin;
  } catch {
    return null;
  }
}

/** What of the form the service shall know; empty credentials leave those that are stored. */
function bodyOf({ email, password, ...rest }: Form) {
  const { name, url, ...choices } = rest;
  return {
    ...choices,
    url: url.trim(),
    ...(name.trim() ? { name: name.trim() } : {}),
    ...(email && password ? { credentials: { email, password } } : {}),
  };
}

/** Adds a server, or edits, tests and removes one. */
export function ServerDialog({ server, onClose }: { server: Backend | null; onClose: () => void }) {
  const [form, setForm] = useState<Form>({
    name: server?.name ?? "",
    url: server?.url ?? "http://",
    email: "",
    password: "",
    mirror: server?.mirror ?? "all",
    enabled: server?.enabled ?? true,
  });
  const [wrong, setWrong] = useState<string | null>(null);
  const [answer, setAnswer] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const elsewhere = server !== null && originOf(form.url) !== originOf(server.url);
  const change = (next: Partial<Form>) => setForm({ ...form, ...next });

  async function attempt(work: () => Promise<void>) {
    setBusy(true);
    setWrong(null);
    setAnswer(null);
    try {
      await work();
    } catch (failure) {
      setWrong(reasonOf(failure));
    }
    setBusy(false);
  }

  const save = () =>
    attempt(async () => {
      const body = bodyOf(form);
      const known = server && { params: { path: { backend_id: server.id } }, body };
      putBackend(
        await answerOf(known ? api.PATCH("/api/v1/backends/{backend_id}", known) : api.POST("/api/v1/backends", { body })),
      );
      onClose();
    });

  return (
    <Dialog title={server ? server.name : "Add a server"} onClose={onClose}>
      <form
        class="server-form"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Text label="Address" value={form.url} type="url" required focus={!server} onInput={(url) => change({ url })} />
        <Text label="Name" value={form.name} placeholder="its address" onInput={(name) => change({ name })} />
        <details open={elsewhere}>
          <summary class="small muted">Login, when this InvokeAI has users</summary>
          {elsewhere && (
            <p class="small muted" data-testid="login-elsewhere">
              A login is sent only to the scheme, host and port it was given for. Give the one for this address; the one for the
              former address is kept, and used when that address is set again.
            </p>
          )}
          <div class="pair">
            <Text label="Email" value={form.email} type="email" onInput={(email) => change({ email })} />
            <Text label="Password" value={form.password} type="password" onInput={(password) => change({ password })} />
          </div>
        </details>
        <div class="field">
          <span class="label">Bring home</span>
          <div class="segments" role="group" aria-label="Bring home">
            <button type="button" aria-pressed={form.mirror === "all"} onClick={() => change({ mirror: "all" })}>
              Everything it makes
            </button>
            <button type="button" aria-pressed={form.mirror === "own"} onClick={() => change({ mirror: "own" })}>
              Only Darkroom's own
            </button>
          </div>
        </div>
        {server && (
          <label class="switch-row">
            <span>Switched on</span>
            <input
              class="switch"
              type="checkbox"
              role="switch"
              aria-checked={form.enabled}
              checked={form.enabled}
              onChange={(event) => change({ enabled: event.currentTarget.checked })}
            />
          </label>
        )}
        <p class={`small ${wrong === null ? "ok" : "bad"}`} role="alert">
          {wrong ?? answer}
        </p>
        <div class="dialog-actions">
          {server && <Remove server={server} busy={busy} attempt={attempt} onRemoved={onClose} />}
          {server && <Test server={server} busy={busy} attempt={attempt} onAnswer={setAnswer} />}
          <span class="rest" />
          <button type="button" class="button quiet" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={busy}>
            {server ? "Save" : "Add"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

interface TextProps {
  label: string;
  value: string;
  type?: string;
  required?: boolean;
  placeholder?: string;
  focus?: boolean;
  onInput: (value: string) => void;
}

function Text({ label, value, type = "text", required, placeholder, focus, onInput }: TextProps) {
  return (
    <label class="field">
      <span class="label">{label}</span>
      <input
        class="input"
        type={type}
        value={value}
        required={required}
        placeholder={placeholder}
        autofocus={focus}
        autocomplete="off"
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </label>
  );
}

interface ActionProps {
  server: Backend;
  busy: boolean;
  attempt: (work: () => Promise<void>) => Promise<void>;
}

function Test({ server, busy, attempt, onAnswer }: ActionProps & { onAnswer: (words: string) => void }) {
  const test = () =>
    attempt(async () => {
      const found = await answerOf(api.POST("/api/v1/backends/{backend_id}/test", { params: { path: { backend_id: server.id } } }));
      onAnswer(`InvokeAI ${found.version} answers, with ${count(found.models, "model")}.`);
    });
  return (
    <button type="button" class="button" disabled={busy} onClick={() => void test()}>
      Test
    </button>
  );
}

const REMOVE_WORDS = { calm: "Remove", asked: "Really remove", despite: "Remove anyway" };

/** Asks once, and once more while photos are on their way: they would never come home. */
function Remove({ server, busy, attempt, onRemoved }: ActionProps & { onRemoved: () => void }) {
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

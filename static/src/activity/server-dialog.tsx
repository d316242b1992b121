import { useState } from "preact/hooks";
import { api, ApiError, reasonOf, withQuery } from "../api/client";
import type { Backend } from "../api/types";
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

/** What of the form the service shall know; empty credentials leave those that are stored. */
function bodyOf({ email, password, ...rest }: Form) {
  return { ...rest, name: rest.name.trim(), url: rest.url.trim(), ...(email && password ? { credentials: { email, password } } : {}) };
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
  const [busy, setBusy] = useState(false);
  const change = (next: Partial<Form>) => setForm({ ...form, ...next });

  async function attempt(work: () => Promise<void>) {
    setBusy(true);
    setWrong(null);
    try {
      await work();
    } catch (failure) {
      setWrong(reasonOf(failure));
    }
    setBusy(false);
  }

  const save = () =>
    attempt(async () => {
      const { enabled: _later, ...fresh } = bodyOf(form);
      putBackend(server ? await api.patch<Backend>(`/backends/${server.id}`, bodyOf(form)) : await api.post<Backend>("/backends", fresh));
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
        <Text label="Name" value={form.name} required placeholder="rtx-4090" onInput={(name) => change({ name })} />
        <details>
          <summary class="small muted">Login, when this InvokeAI has users</summary>
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
            <input class="switch" type="checkbox" role="switch" checked={form.enabled} onChange={(event) => change({ enabled: event.currentTarget.checked })} />
          </label>
        )}
        <p class="small bad" role="alert">
          {wrong}
        </p>
        <div class="dialog-actions">
          {server && <Remove server={server} busy={busy} attempt={attempt} onRemoved={onClose} />}
          {server && <Test server={server} busy={busy} attempt={attempt} />}
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

function Test({ server, busy, attempt }: ActionProps) {
  const [answer, setAnswer] = useState<string | null>(null);
  const test = () =>
    attempt(async () => {
      setAnswer(null);
      const found = await api.post<{ version?: string | null }>(`/backends/${server.id}/test`);
      setAnswer(found.version ? `InvokeAI ${found.version} answers` : "It answers");
    });
  return (
    <>
      <button type="button" class="button" disabled={busy} onClick={() => void test()}>
        Test
      </button>
      <span class="small ok" role="status">
        {answer}
      </span>
    </>
  );
}

/** Removal with photos still on their way is asked twice: they would never come home. */
function Remove({ server, busy, attempt, onRemoved }: ActionProps & { onRemoved: () => void }) {
  const [sure, setSure] = useState(false);
  const remove = () =>
    attempt(async () => {
      try {
        await api.delete(withQuery(`/backends/${server.id}`, { confirm: sure || null }));
      } catch (failure) {
        if (failure instanceof ApiError && failure.code === "conflict") setSure(true);
        throw failure;
      }
      dropBackend(server.id);
      toast(`${server.name} was removed; its photos stay in the library`);
      onRemoved();
    });
  return (
    <button type="button" class="button danger" disabled={busy} onClick={() => void remove()}>
      {sure ? "Remove anyway" : "Remove"}
    </button>
  );
}

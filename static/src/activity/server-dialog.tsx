import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, answerOf, api, reasonOf } from "../api/client";
import type { Backend } from "../api/types";
import { count } from "../app/format";
import { toast } from "../app/toasts";
import { Dialog } from "../shell/dialog";
import { dropBackend, putBackend } from "../state/backends";
import { parseAddress } from "./address";
import { type Found, findServer } from "./find-server";
import { sentence } from "./words";

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

function loginOf({ email, password }: Form) {
  return email && password ? { email, password } : null;
}

/** What of the form the service shall know; empty credentials leave those that are stored. */
function bodyOf(form: Form, url: string) {
  const { name, mirror, enabled } = form;
  const login = loginOf(form);
  return { url, mirror, enabled, ...(name.trim() ? { name: name.trim() } : {}), ...(login ? { credentials: login } : {}) };
}

/** What is said of the address. */
interface Answer {
  words: string;
  tone: "ok" | "bad";
  /** It may be added in spite of that, as this address. */
  anyway?: string;
  /** Where InvokeAI does answer. */
  instead?: string | null;
}

/** Adds a server, or edits, tests and removes one. What is added was tested, or is added in spite of what the test said. */
export function ServerDialog({ server, onClose }: { server: Backend | null; onClose: () => void }) {
  const [form, setForm] = useState<Form>({
    name: server?.name ?? "",
    url: server?.url ?? "",
    email: "",
    password: "",
    mirror: server?.mirror ?? "all",
    enabled: server?.enabled ?? true,
  });
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [wantsLogin, setWantsLogin] = useState(false);
  const [busy, setBusy] = useState(false);
  const isMoved = server !== null && form.url.trim() !== server.url;
  const elsewhere = isMoved && originOf(form.url) !== originOf(server.url);
  /** An answer to what was asked before the form was changed, or closed, is no answer. */
  const turn = useRef(0);
  useEffect(
    () => () => {
      turn.current += 1;
    },
    [],
  );
  const change = (next: Partial<Form>) => {
    turn.current += 1;
    setBusy(false);
    setAnswer(null);
    setForm({ ...form, ...next });
  };

  async function attempt(work: (isMeant: () => boolean) => Promise<void>) {
    const own = ++turn.current;
    const isMeant = () => turn.current === own;
    setBusy(true);
    setAnswer(null);
    try {
      await work(isMeant);
    } catch (failure) {
      if (isMeant()) setAnswer({ words: sentence(reasonOf(failure)), tone: "bad" });
    }
    if (isMeant()) setBusy(false);
  }

  /** The address at which InvokeAI answers; null, and what is wrong is said, where none does. */
  async function test(isMeant: () => boolean): Promise<string | null> {
    const { candidates, problem } = parseAddress(form.url);
    if (problem !== null) {
      setAnswer({ words: problem, tone: "bad" });
      return null;
    }
    const found = server && !isMoved && !loginOf(form) ? await testStored(server) : await findServer(candidates, loginOf(form));
    if (!isMeant()) return null;
    if (found.reached !== null && (!found.reached.known_as || found.reached.known_as.id === server?.id)) {
      setForm((now) => ({ ...now, url: found.url }));
      setAnswer({ words: `InvokeAI ${found.reached.version} answers, with ${count(found.reached.models, "model")}.`, tone: "ok" });
      return found.url;
    }
    setAnswer(whatIsWrong(found));
    if (found.reached === null && found.reason === "login") setWantsLogin(true);
    return null;
  }

  async function store(url: string, isMeant: () => boolean) {
    const body = bodyOf(form, url);
    const known = server && { params: { path: { backend_id: server.id } }, body };
    putBackend(await answerOf(known ? api.PATCH("/api/v1/backends/{backend_id}", known) : api.POST("/api/v1/backends", { body })));
    if (isMeant()) onClose();
  }

  const save = () =>
    attempt(async (isMeant) => {
      const isUntested = form.enabled && (server === null || isMoved);
      const url = isUntested ? await test(isMeant) : isMoved ? (parseAddress(form.url).candidates?.[0] ?? form.url) : form.url;
      if (url !== null && isMeant()) await store(url, isMeant);
    });
  const verb = server ? "Save" : "Add";

  return (
    <Dialog title={server ? server.name : "Add a server"} onClose={onClose}>
      <form
        class="server-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy) void save();
        }}
      >
        <Text
          label="Address"
          value={form.url}
          placeholder="192.168.1.20:9090"
          inputMode="url"
          focus={!server}
          onInput={(url) => change({ url })}
        />
        <Text label="Name" value={form.name} placeholder="its address" onInput={(name) => change({ name })} />
        <details open={elsewhere || wantsLogin}>
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
        <div class="server-answer">
          <p class={`small ${busy ? "muted" : (answer?.tone ?? "")}`} role="alert">
            {busy ? "Asking…" : answer?.words}
          </p>
          {answer?.instead && (
            <button type="button" class="button compact" onClick={() => change({ url: answer.instead! })}>
              Use {answer.instead}
            </button>
          )}
          {answer?.anyway && (
            <button type="button" class="button compact" onClick={() => void attempt((isMeant) => store(answer.anyway!, isMeant))}>
              {verb} anyway
            </button>
          )}
        </div>
        <div class="dialog-actions">
          {server && <Remove server={server} busy={busy} attempt={attempt} onRemoved={onClose} />}
          <button
            type="button"
            class="button"
            disabled={busy}
            onClick={() => void attempt(async (isMeant) => void (await test(isMeant)))}
          >
            Test
          </button>
          <span class="rest" />
          <button type="button" class="button quiet" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={busy}>
            {verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** With the login that is stored. */
async function testStored({ id, url }: Backend): Promise<Found> {
  return { url, reached: await answerOf(api.POST("/api/v1/backends/{backend_id}/test", { params: { path: { backend_id: id } } })) };
}

function whatIsWrong(found: Found): Answer {
  if (found.reached !== null)
    return { words: `This InvokeAI is here already: it is “${found.reached.known_as!.name}”.`, tone: "bad", anyway: found.url };
  const { url, words, instead } = found;
  const where = instead === null ? "" : ` InvokeAI answers at ${instead}.`;
  return { words: sentence(words) + where, tone: "bad", anyway: url, instead };
}

interface TextProps {
  label: string;
  value: string;
  type?: string;
  inputMode?: "url";
  placeholder?: string;
  focus?: boolean;
  onInput: (value: string) => void;
}

function Text({ label, value, type = "text", inputMode, placeholder, focus, onInput }: TextProps) {
  return (
    <label class="field">
      <span class="label">{label}</span>
      <input
        class="input"
        type={type}
        value={value}
        inputMode={inputMode}
        spellcheck={false}
        placeholder={placeholder}
        autofocus={focus}
        autocomplete="off"
        onFocus={(event) => event.currentTarget.select()}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </label>
  );
}

interface ActionProps {
  server: Backend;
  busy: boolean;
  attempt: (work: (isMeant: () => boolean) => Promise<void>) => Promise<void>;
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

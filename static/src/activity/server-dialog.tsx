import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, answerOf, api } from "../api/client";
import type { Backend } from "../api/types";
import { Dialog } from "../components/dialog";
import { count, reasonOf } from "../lib/format";
import { putBackend } from "../state/backends";
import { parseAddress } from "./address";
import { type Found, findServer } from "./find-server";
import { Switch, Text } from "./form-fields";
import { GatewayFields } from "./gateway-fields";
import { gatewayBody, repeatedHeader } from "./gateway-form";
import { PodFields, RunPodApi } from "./pod-fields";
import { type Flaw, flawOf, type Kind, notNumbers, type PodForm, podBody, proxyAddress } from "./pod-form";
import { RemoveServer } from "./remove-server";
import { addressOf, bodyOf, loginOf, originOf, type ServerForm, serverFormOf } from "./server-form";
import { sentence } from "./words";

const KINDS: Record<Kind, string> = { server: "InvokeAI server", runpod: "RunPod pod", command: "Commands" };

const KIND_HELP: Record<Kind, string> = {
  server: "An InvokeAI that is on by itself, on this machine or elsewhere.",
  runpod: "A rented pod with InvokeAI: started when there is work for it, stopped when all is home.",
  command: "A machine that commands of yours start and stop.",
};

/** What is said of the address. */
interface Answer {
  words: string;
  tone: "ok" | "bad";
  /** It may be added in spite of that, as this address. */
  anyway?: string;
  /** Where InvokeAI does answer. */
  instead?: string | null;
}

/**
 * Adds a server or a pod, or edits, tests and removes one. What is added as a server was tested, or is added in spite of
 * what the test said; a pod is asked for at its provider by the service.
 */
export function ServerDialog({ server, onClose }: { server: Backend | null; onClose: () => void }) {
  const [form, setForm] = useState(() => serverFormOf(server));
  const { kind } = form;
  const isPod = kind !== "server";
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [flaw, setFlaw] = useState<Flaw | null>(null);
  const [wanted, setWanted] = useState<"login" | "gateway" | null>(null);
  const [busy, setBusy] = useState(false);
  const element = useRef<HTMLFormElement>(null);
  const isMoved = server !== null && form.url.trim() !== addressOf(server);
  const elsewhere = isMoved && form.url.trim() !== "" && originOf(form.url) !== originOf(server.url);
  /** An answer to what was asked before the form was changed, or closed, is no answer. */
  const turn = useRef(0);
  useEffect(
    () => () => {
      turn.current += 1;
    },
    [],
  );
  const change = (next: Partial<ServerForm>) => {
    turn.current += 1;
    setBusy(false);
    setAnswer(null);
    setFlaw(null);
    setForm({ ...form, ...next });
  };
  const changePod = (next: Partial<PodForm>) => change({ pod: { ...form.pod, ...next } });

  async function attempt(work: (isMeant: () => boolean) => Promise<void>) {
    const own = ++turn.current;
    const isMeant = () => turn.current === own;
    setBusy(true);
    setAnswer(null);
    setFlaw(null);
    try {
      await work(isMeant);
    } catch (failure) {
      const found = failure instanceof ApiError ? flawOf(failure.message, failure.details) : null;
      if (isMeant() && found && (isPod || found.field.startsWith("gateway."))) showFlaw(found);
      else if (isMeant()) setAnswer({ words: sentence(reasonOf(failure)), tone: "bad" });
    }
    if (isMeant()) setBusy(false);
  }

  /** At its field, which gets the focus. */
  function showFlaw(found: Flaw) {
    setFlaw(found);
    requestAnimationFrame(() => element.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
  }

  /** The address at which InvokeAI answers; null, and what is wrong is said, where none does. */
  async function test(isMeant: () => boolean): Promise<string | null> {
    const { candidates, problem } = parseAddress(form.url);
    if (problem !== null) {
      setAnswer({ words: problem, tone: "bad" });
      return null;
    }
    const login = loginOf(form);
    const gateway = gatewayBody(form.gateway);
    const isAsStored = server && !isMoved && !login && !gateway;
    const found = isAsStored ? await testStored(server) : await findServer(candidates, login, gateway);
    if (!isMeant()) return null;
    if (found.reached !== null && (!found.reached.known_as || found.reached.known_as.id === server?.id)) {
      setForm((now) => ({ ...now, url: found.url }));
      setAnswer({ words: `InvokeAI ${found.reached.version} answers, with ${count(found.reached.models, "model")}.`, tone: "ok" });
      return found.url;
    }
    setAnswer(whatIsWrong(found));
    if (found.reached === null && (found.reason === "login" || found.reason === "gateway")) setWanted(found.reason);
    return null;
  }

  async function store(url: string, isMeant: () => boolean) {
    const body = { ...bodyOf(form), url };
    const known = server && { params: { path: { backend_id: server.id } }, body };
    putBackend(await answerOf(known ? api.PATCH("/api/v1/backends/{backend_id}", known) : api.POST("/api/v1/backends", { body })));
    if (isMeant()) onClose();
  }

  async function storePod(isMeant: () => boolean) {
    const wrong = notNumbers(kind, form.pod);
    if (wrong) return showFlaw(wrong);
    const typed = form.url.trim() === "" ? null : (parseAddress(form.url).candidates?.[0] ?? form.url.trim());
    const url = typed ?? (kind === "runpod" ? proxyAddress(form.pod) : "");
    const body = { ...bodyOf(form), ...podBody(kind, form.pod, server?.pod?.provider), ...(url && { url }) };
    const answered = server
      ? api.PATCH("/api/v1/backends/{backend_id}", { params: { path: { backend_id: server.id } }, body })
      : api.POST("/api/v1/backends", { body: { ...body, kind } });
    putBackend(await answerOf(answered));
    if (isMeant()) onClose();
  }

  const save = () =>
    attempt(async (isMeant) => {
      const repeated = repeatedHeader(form.gateway);
      if (repeated) return showFlaw({ field: "gateway.headers", words: `${repeated} is given twice` });
      if (isPod) return storePod(isMeant);
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
        ref={element}
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy) void save();
        }}
      >
        {server === null && <KindChoice kind={kind} onChoose={(chosen) => change({ kind: chosen })} />}
        {kind !== "runpod" && (
          <Text
            label={isPod ? "Address of its InvokeAI" : "Address"}
            value={form.url}
            placeholder="192.168.1.20:9090"
            inputMode="url"
            focus={!server}
            flaw={flaw?.field === "url" ? sentence(flaw.words) : null}
            onInput={(url) => change({ url })}
          />
        )}
        {isPod && <PodFields kind={kind} form={form.pod} stored={server !== null} flaw={flaw} onChange={changePod} />}
        <Text
          label="Name"
          value={form.name}
          placeholder={isPod ? "what you call it" : "its address"}
          onInput={(name) => change({ name })}
        />
        <details open={elsewhere || wanted === "login" || flaw?.field === "url" || flaw?.field === "provider.api_url"}>
          <summary class="small muted">
            {kind === "runpod" ? "Login and other addresses" : "Login, when this InvokeAI has users"}
          </summary>
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
          {kind === "runpod" && (
            <>
              <Text
                label="Address of its InvokeAI"
                value={form.url}
                placeholder={proxyAddress(form.pod)}
                inputMode="url"
                flaw={flaw?.field === "url" ? sentence(flaw.words) : null}
                onInput={(url) => change({ url })}
              />
              <RunPodApi
                value={form.pod.apiUrl}
                flaw={flaw?.field === "provider.api_url" ? sentence(flaw.words) : null}
                onInput={(apiUrl) => changePod({ apiUrl })}
              />
            </>
          )}
        </details>
        <GatewayFields
          form={form.gateway}
          stored={server?.has_gateway ?? false}
          elsewhere={elsewhere}
          open={wanted === "gateway" || (flaw?.field.startsWith("gateway.") ?? false) || (elsewhere && server.has_gateway)}
          flaw={flaw}
          onChange={(next) => change({ gateway: { ...form.gateway, ...next } })}
        />
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
        {server && <Switch label="Switched on" on={form.enabled} onChange={(enabled) => change({ enabled })} />}
        <div class="server-foot">
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
              <button
                type="button"
                class="button compact"
                onClick={() => void attempt((isMeant) => store(answer.anyway!, isMeant))}
              >
                {verb} anyway
              </button>
            )}
          </div>
          <div class="dialog-actions">
            {server && <RemoveServer server={server} busy={busy} attempt={attempt} onRemoved={onClose} />}
            {!isPod && (
              <button
                type="button"
                class="button"
                disabled={busy}
                onClick={() => void attempt(async (isMeant) => void (await test(isMeant)))}
              >
                Test
              </button>
            )}
            <span class="rest" />
            <button type="button" class="button quiet" onClick={onClose}>
              Cancel
            </button>
            <button type="submit" class="button primary" disabled={busy}>
              {verb}
            </button>
          </div>
        </div>
      </form>
    </Dialog>
  );
}

function KindChoice({ kind, onChoose }: { kind: Kind; onChoose: (kind: Kind) => void }) {
  return (
    <div class="field">
      <span class="label">Kind</span>
      <div class="segments" role="group" aria-label="Kind">
        {(Object.keys(KINDS) as Kind[]).map((one) => (
          <button key={one} type="button" aria-pressed={kind === one} onClick={() => onChoose(one)}>
            {KINDS[one]}
          </button>
        ))}
      </div>
      <p class="small muted">{KIND_HELP[kind]}</p>
    </div>
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

import { useEffect, useRef, useState } from "preact/hooks";
import type { Backend } from "../api/types";
import { Icon, IconButton } from "../components/icon";
import { CircleAlert, Pencil, RefreshCw } from "../components/icons";
import { ProgressBar } from "../components/progress";
import { ago, count, dateTime, duration, number, olderImages } from "../lib/format";
import { toast } from "../lib/toasts";
import { useNow } from "../lib/use-now";
import { lastSeen, lookAt, nextAttempt } from "../state/backends";
import { type LiveItem, progressWords, runningItems } from "../state/items";
import { previewOf } from "../state/previews";
import { getStep } from "../state/steps";
import { secondsLeft } from "../state/time-left";
import { IdentityChoice } from "./identity-choice";
import { PodPart } from "./pod-part";
import { restWords, stateOf } from "./pod-words";
import { ServerDialog } from "./server-dialog";
import { TroubleAction } from "./trouble-action";
import { absence, homeWords, ledgerParts } from "./words";

/** One server: how it stands, what it makes now, its queue, and the ledger; and its pod, where it is one. */
export function ServerCard({ server }: { server: Backend }) {
  const [editing, edit] = useState(false);
  const { word, tone } = stateOf(server);
  const pod = server.pod ?? null;
  const resting = pod !== null && pod.state !== "running" && server.enabled && server.state === "unreachable";
  const running = runningItems.value.filter((live) => live.item.value.backend_id === server.id);
  const host = hostOf(server.url);
  const facts = [host === server.name ? null : host, server.version, server.device].filter(Boolean).join(" · ");
  return (
    <li
      class="card server"
      data-testid={pod ? "pod-card" : "server"}
      data-server={server.id}
      data-state={pod ? pod.state : server.state}
      data-connection={server.state}
    >
      <header>
        <span class={`dot ${tone === "ok" && server.troubles.length > 0 ? "warn" : tone}`} />
        <h2 class="ellipsis">{server.name}</h2>
        {server.kind === "demo" && <span class="tag demo">Demo</span>}
        {pod && <span class="tag">{server.kind === "runpod" ? "RunPod" : "Commands"}</span>}
        <span class={`small server-state ${tone === "ok" || tone === "" ? "muted" : tone}`}>{word}</span>
        <span class="small muted ellipsis server-facts" title={server.url}>
          <a class="see-why" href={server.url} target="_blank" rel="noreferrer">
            Open InvokeAI
          </a>
          {facts && ` · ${facts}`}
        </span>
        {server.enabled && <IconButton icon={RefreshCw} label={`Refresh ${server.name}`} onClick={() => void refresh(server)} />}
        <IconButton icon={Pencil} label={`Edit ${server.name}`} onClick={() => edit(true)} />
      </header>
      {pod && <PodPart server={server} pod={pod} />}
      {server.state === "connected" ? (
        <div class="server-now">
          {running.map((live) => (
            <Running key={live.key} live={live} server={server.name} />
          ))}
          {running.length === 0 && <p class="muted server-idle">Idle. It shows here as soon as something runs.</p>}
          <Queue server={server} />
        </div>
      ) : resting ? (
        <div class="server-now">
          <p class="muted server-idle">{restWords(server)}</p>
          <Queue server={server} />
        </div>
      ) : (
        <Absence server={server} />
      )}
      {server.state === "unrecognised" && <IdentityChoice server={server} />}
      <Troubles server={server} />
      <LedgerLine server={server} />
      {editing && <ServerDialog server={server} onClose={() => edit(false)} />}
    </li>
  );
}

async function refresh(server: Backend): Promise<void> {
  if (await lookAt(server)) toast(`Refreshing ${server.name}`);
}

/** What a server that is not connected means; when it is tried again, and that it can be tried now. */
function Absence({ server }: { server: Backend }) {
  const now = useNow(1_000);
  const isTried = server.enabled && server.state !== "connecting";
  return (
    <div class="server-absent">
      <p class="muted">{absence(server)}</p>
      {isTried && (
        <p class="server-attempts">
          <span>
            {lastSeen(server, now)} {nextAttempt(server, now)}
          </span>
          <button
            type="button"
            class="button compact"
            disabled={server.next_attempt_at === null}
            onClick={() => void lookAt(server)}
          >
            Try now
          </button>
        </p>
      )}
    </div>
  );
}

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

function Troubles({ server }: { server: Backend }) {
  if (server.troubles.length === 0) return null;
  return (
    <ul class="troubles">
      {server.troubles.map((trouble) => (
        <li key={trouble.code} class="small" data-testid="server-trouble" data-code={trouble.code}>
          <Icon of={CircleAlert} />
          <span>
            {trouble.words}{" "}
            <time class="muted" dateTime={trouble.since} title={dateTime(trouble.since)}>
              {ago(trouble.since)}
            </time>{" "}
            <TroubleAction server={server} code={trouble.code} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Only this redraws when a progress frame comes. */
function Running({ live, server }: { live: LiveItem; server: string }) {
  const item = live.item.value;
  const progress = live.progress.value;
  const frame = previewOf(live.key).value;
  const step = getStep(item.step_id)?.value;
  const portion = progress?.percentage ?? null;
  const words = [progressWords(progress)];
  const seconds = secondsLeft(live);
  if (seconds !== null) words.push(`${duration(seconds)} left`);
  return (
    <div class="running" data-testid="running">
      <span class="running-picture">{frame && <img src={frame} alt="" />}</span>
      <div>
        <p class="label">Running</p>
        <p class="ellipsis">{step ? step.prompt : "From InvokeAI's own page"}</p>
        <ProgressBar portion={portion} label={`Running on ${server}`} />
        <p class="small muted">{words.join(" · ")}</p>
      </div>
    </div>
  );
}

/** The bar's full length, while the queue is short. */
const SHORT_QUEUE = 10;

function Queue({ server }: { server: Backend }) {
  const { pending, in_progress, ours } = server.queue;
  const others = Math.max(0, pending + in_progress - ours);
  const all = ours + others;
  const scale = Math.max(SHORT_QUEUE, all);
  const words = all === 0 ? "Nothing queued" : `${count(all, "item")}: ${ours} from Darkroom, ${others} from elsewhere`;
  return (
    <div class="queue">
      <p class="label queue-words">
        <span>Queue</span>
        <span>
          {all === 0 ? (
            words
          ) : (
            <>
              {count(all, "item")}: <i class="ours" /> {ours} from Darkroom, <i class="others" /> {others} from elsewhere
            </>
          )}
        </span>
      </p>
      <div class="queue-bar" role="img" aria-label={words}>
        <i class="ours" style={{ width: `${(ours / scale) * 100}%` }} />
        <i class="others" style={{ width: `${(others / scale) * 100}%` }} />
      </div>
    </div>
  );
}

function LedgerLine({ server }: { server: Backend }) {
  return (
    <footer class="ledger" data-testid="ledger" data-home={server.ledger.home}>
      <span title={homeWords(server.ledger)}>
        {server.ledger.made === 0 && server.older_images === 0 && <span class="muted">Nothing made yet</span>}
        {server.ledger.made > 0 &&
          ledgerParts(server.ledger).map(({ value, word, tone }, index) => (
            <span key={word} class={tone}>
              {index > 0 && " · "}
              <Digits value={value} /> {word}
            </span>
          ))}
        {server.ledger.failed > 0 && (
          <>
            {" "}
            <a class="see-why" href="#retrievals">
              see why
            </a>
          </>
        )}
      </span>
      {server.older_images > 0 && (
        <span class="small muted" data-testid="older-images">
          {olderImages(server.older_images)}
        </span>
      )}
      {server.videos > 0 && (
        <span class="small muted">{count(server.videos, "video")} stay there: this release brings home images</span>
      )}
    </footer>
  );
}

/** A number that grows or shrinks: only the digits that change are drawn anew, each in its place. */
function Digits({ value }: { value: number }) {
  const text = number(value);
  const before = useRef(text);
  useEffect(() => {
    before.current = text;
  }, [text]);
  return (
    <>
      {[...text].map((sign, index) => {
        const place = text.length - index;
        return (
          <span key={`${place} ${sign}`} class={before.current.at(-place) === sign ? undefined : "new-digit"}>
            {sign}
          </span>
        );
      })}
    </>
  );
}

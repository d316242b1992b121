import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { Blank } from "../components/blank";
import { IconButton } from "../components/icon";
import { Boxes, CloudOff, RefreshCw, Search, Server } from "../components/icons";
import { SearchBox } from "../components/search-box";
import { TopBar } from "../components/top-bar";
import { baseName, count } from "../lib/format";
import { useTitle } from "../lib/navigation";
import { toast, toastFailure } from "../lib/toasts";
import { backendName, backends, backendsKnown } from "../state/backends";
import { type Catalogue, catalogue, catalogueError, loadCatalogue, loadModels, refreshModels } from "../state/models";
import { type Entry, entriesOf, type Group, groupsOf, searchEntries, typesName, typesOf } from "./entries";
import { ModelPanel } from "./model-panel";
import { ModelRow } from "./model-row";
import { staleWords } from "./servers";
import { type ModelAddress, useModelAddress } from "./use-model-address";

/** All models of all servers, and what was made with each. */
export function ModelsPage() {
  const address = useModelAddress();
  useTitle("Models");
  useEffect(() => {
    void loadCatalogue();
    void loadModels();
  }, []);
  const [text, search] = useSearchText(address);
  const known = catalogue.value;
  const entries = useMemo(() => (known === null ? null : entriesOf(known)), [known]);
  const open = address.model;
  return (
    <>
      <TopBar>
        <h1>Models</h1>
        <SearchBox
          aria-label="Search models"
          placeholder="Search names, bases, types, servers"
          maxLength={200}
          value={text}
          onInput={(event) => search(event.currentTarget.value)}
          onClear={() => search("")}
          onKey={goToList}
        />
        <Refresh />
      </TopBar>
      <div class={`models ${open === null ? "" : "with-panel"}`}>
        {entries === null || known === null ? (
          <Unread />
        ) : (
          <Listed known={known} entries={entries} text={text} onSearch={search} address={address} />
        )}
        {open !== null && (
          <ModelPanel
            key={open}
            model={open}
            name={entries?.find(({ key }) => key === open)?.name ?? null}
            onClose={address.close}
          />
        )}
      </div>
    </>
  );
}

/** From the search, an arrow down leads to the first model. */
function goToList(event: KeyboardEvent): void {
  if (event.key !== "ArrowDown") return;
  event.preventDefault();
  document.querySelector<HTMLElement>(".model-name")?.focus();
}

const PAUSE_MS = 200;

/** What is being searched for. What is found stands at once; the address follows. */
function useSearchText(address: ModelAddress): [string, (text: string) => void] {
  const [text, setText] = useState(address.q);
  const told = useRef(address.q);
  useEffect(() => {
    if (address.q === told.current) return;
    told.current = address.q;
    setText(address.q);
  }, [address.q]);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text.trim() === told.current) return;
      told.current = text.trim();
      address.narrow({ q: text.trim() || null });
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return [text, setText];
}

function Refresh() {
  const [busy, setBusy] = useState(false);
  const refresh = async () => {
    setBusy(true);
    try {
      const reasons = await refreshModels();
      await loadCatalogue();
      for (const reason of reasons) toast(reason, { tone: "bad" });
      if (reasons.length === 0) toast("The models were read again.");
    } catch (failure) {
      toastFailure("The models were not read again.", failure);
    }
    setBusy(false);
  };
  return <IconButton icon={RefreshCw} label="Refresh models" disabled={busy} onClick={() => void refresh()} />;
}

/** Before the first answer, or instead of it. */
function Unread() {
  if (catalogueError.value !== null) {
    return (
      <Blank icon={CloudOff} title="The models cannot be read">
        <p>{catalogueError.value}</p>
        <button type="button" class="button" onClick={() => void loadCatalogue()}>
          Try again
        </button>
      </Blank>
    );
  }
  return (
    <div class="models-loading" role="status" aria-label="Reading the models">
      {Array.from({ length: 6 }, (_, at) => (
        <i key={at} />
      ))}
    </div>
  );
}

interface ListedProps {
  known: Catalogue;
  entries: readonly Entry[];
  text: string;
  onSearch: (text: string) => void;
  address: ModelAddress;
}

function Listed({ known, entries, text, onSearch, address }: ListedProps) {
  const { type } = address;
  const servers = backends.value;
  const ofType = type === null ? entries : entries.filter((entry) => entry.type === type);
  const found = useMemo(() => searchEntries(ofType, text, backendName), [entries, text, type, servers]);
  const groups = useMemo(() => groupsOf(found), [found]);
  if (entries.length === 0) return <NoModels />;
  const stale = staleWords(known.items);
  const all = found.length === entries.length;
  return (
    <div class="models-list scroll">
      <div class="models-head">
        <p class="small muted" role="status">
          {all ? count(entries.length, "model") : `${found.length} of ${count(entries.length, "model")}`}
          {known.missing.length > 0 && ` · ${known.missing.length} missing`}
        </p>
        <select
          class="input"
          aria-label="Type"
          value={type ?? ""}
          onChange={(event) => address.narrow({ type: event.currentTarget.value || null })}
        >
          <option value="">All types</option>
          {typesOf(entries).map((one) => (
            <option key={one} value={one}>
              {typesName(one)}
            </option>
          ))}
        </select>
      </div>
      {catalogueError.value !== null && (
        <p class="models-note small" role="alert">
          <span class="dot bad" />
          <span>{catalogueError.value} What is shown is as it was read last.</span>
          <button type="button" class="button compact" onClick={() => void loadCatalogue()}>
            Try again
          </button>
        </p>
      )}
      {stale.map((words) => (
        <p key={words} class="models-note small" data-testid="stale-models">
          <span class="dot warn" />
          {words}
        </p>
      ))}
      {groups.map((group) => (
        <GroupOf key={group.id} group={group} address={address} />
      ))}
      {groups.length === 0 && (
        <Blank icon={Search} title="No model matches">
          <p>Nothing here fits {text.trim() ? `“${text.trim()}”` : "this choice"}.</p>
          <button
            type="button"
            class="button"
            onClick={() => {
              onSearch("");
              address.narrow({ q: null, type: null });
            }}
          >
            Show all models
          </button>
        </Blank>
      )}
    </div>
  );
}

function GroupOf({ group, address }: { group: Group; address: ModelAddress }) {
  const base = group.base === null ? "base unknown" : baseName(group.base);
  return (
    <section class="model-group" data-testid="model-group">
      <h2>
        <span>
          {typesName(group.type)} <span class="muted">· {base}</span>
        </span>
        <span class="small muted">
          {group.entries.length}
          <span class="hidden-text"> {group.entries.length === 1 ? "model" : "models"}</span>
        </span>
      </h2>
      <ul>
        {group.entries.map((entry) => (
          <ModelRow key={entry.key} entry={entry} address={address} />
        ))}
      </ul>
    </section>
  );
}

function NoModels() {
  if (backendsKnown.value && backends.value.length === 0) {
    return (
      <Blank icon={Server} title="No server yet">
        <p>The models of each InvokeAI server are listed here, once one was added.</p>
        <Link href="/activity" class="button primary">
          Add a server
        </Link>
      </Blank>
    );
  }
  const isReached = backends.value.some(({ state }) => state === "connected");
  return (
    <Blank icon={Boxes} title="No models yet">
      <p>
        {isReached
          ? "What is installed in InvokeAI appears here by itself."
          : "No server has told its models yet. They appear here as soon as one is reached."}
      </p>
      <Link href="/activity" class="button">
        See the servers
      </Link>
    </Blank>
  );
}

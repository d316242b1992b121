import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import type { Model, ModelDetail } from "../api/types";
import { IconButton } from "../components/icon";
import { X } from "../components/icons";
import { below } from "../lib/base";
import { ago, baseName } from "../lib/format";
import { useKeys } from "../lib/keys";
import { usePhotoAddress } from "../lib/navigation";
import { libraryOf } from "../photo/made-with";
import { Picture } from "../photo/picture";
import { backendName, backends, STATE_WORDS } from "../state/backends";
import { models } from "../state/models";
import { getPhoto, spokenState } from "../state/photos";
import { findModel, modelId } from "../studio/draft";
import { chooseModel, draftOf, NEW, startWithModel } from "../studio/kept-drafts";
import { canGenerate } from "../studio/model-field";
import { Facts } from "../viewer/inspector";
import { Viewer } from "../viewer/viewer";
import { photosWords, typeName } from "./entries";
import { defaultFacts, modelFacts } from "./facts";
import { MissingTag } from "./model-row";
import { bestServer } from "./servers";
import { type MadeWith, useHeld, useMadeWith } from "./use-made-with";

const MOST = 12;

/** All of one model: what it is, where it is, what was made with it; a column where there is room, else over the list. */
export function ModelPanel({ model, name, onClose }: { model: string; name: string | null; onClose: () => void }) {
  const made = useMadeWith(model, true, MOST);
  const photo = usePhotoAddress();
  const panel = useRef<HTMLElement>(null);
  const { detail } = made;
  useKeys({ Escape: onClose });
  useFocusWithin(panel, model);
  return (
    <aside
      class="model-panel scroll"
      aria-label={detail?.name ?? name ?? "Model"}
      ref={panel}
      tabIndex={-1}
      data-testid="model-panel"
    >
      <header>
        <h2>{detail?.name ?? name ?? ""}</h2>
        <IconButton icon={X} label="Close" keys="Esc" onClick={onClose} />
      </header>
      {detail === null && made.error === null && <p class="muted">Reading the model…</p>}
      {made.error !== null && (
        <div class="note small" role="alert">
          <p class="bad">{made.error}</p>
          <button type="button" class="button compact" onClick={made.reload}>
            Try again
          </button>
        </div>
      )}
      {detail !== null && <Summary detail={detail} />}
      {detail !== null && detail.photo_count !== null && (
        <Photos detail={detail} made={made} onOpen={photo.open} addressOf={photo.addressOf} />
      )}
      {detail !== null && <Details detail={detail} />}
      {photo.shown && (
        <Viewer ids={made.ids} shown={photo.shown} more={false} onMore={nothing} onMove={photo.move} onClose={photo.close} />
      )}
    </aside>
  );
}

async function nothing(): Promise<void> {}

/** Opened, the panel has the focus; closed, what opened it has it again. */
function useFocusWithin(panel: { current: HTMLElement | null }, model: string): void {
  useEffect(() => {
    const before = document.activeElement;
    panel.current!.focus({ preventScroll: true });
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, [model]);
}

function Part({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <section>
      <h3 class="label">{name}</h3>
      {children}
    </section>
  );
}

function Summary({ detail }: { detail: ModelDetail }) {
  return (
    <>
      <p class="model-tags">
        <span class="tag">{typeName(detail.type)}</span>
        {detail.base !== null && <span class="tag">{baseName(detail.base)}</span>}
        {detail.missing && <MissingTag />}
      </p>
      {detail.description && <p class="model-description">{detail.description}</p>}
      <Generate detail={detail} />
    </>
  );
}

function Details({ detail }: { detail: ModelDetail }) {
  const defaults = defaultFacts(detail);
  return (
    <div class="inspector-facts">
      <Part name="Model">
        <Facts facts={modelFacts(detail)} />
      </Part>
      {defaults.length > 0 && (
        <Part name="Its own settings">
          <Facts facts={defaults} />
        </Part>
      )}
      <Part name={detail.servers.length > 1 ? "Servers" : "Server"}>
        {detail.missing ? (
          <p class="small muted">No server has it any more. Photos and steps that were made with it stay.</p>
        ) : (
          <ul class="model-servers">
            {detail.servers.map((server) => (
              <ServerOf key={`${server.backend_id}/${server.key}`} model={server} />
            ))}
          </ul>
        )}
      </Part>
    </div>
  );
}

function ServerOf({ model }: { model: Model }) {
  const server = backends.value.find((one) => one.id === model.backend_id);
  const state = server && STATE_WORDS[server.state];
  return (
    <li>
      <span class={`dot ${state?.tone ?? ""}`} />
      <span class="ellipsis">{backendName(model.backend_id)}</span>
      <span class="small muted">
        {server?.state === "connected" ? state?.word : `${state?.word ?? "Unknown"} · told ${ago(model.seen_at)}`}
      </span>
    </li>
  );
}

/** A press leads to the studio, where the model is chosen. */
function Generate({ detail }: { detail: ModelDetail }) {
  const [, navigate] = useLocation();
  const server = bestServer(detail.servers);
  if (detail.type !== "main" || server === undefined) return null;
  if (!canGenerate(server)) return <p class="small muted">Darkroom cannot generate with {baseName(server.base)} models yet.</p>;
  return (
    <button
      type="button"
      class="button primary"
      onClick={() => {
        generateWith(server);
        navigate("/studio/new");
      }}
    >
      Generate with it
    </button>
  );
}

interface PhotosProps {
  detail: ModelDetail;
  made: MadeWith;
  onOpen: (id: string) => void;
  addressOf: (id: string) => string;
}

function Photos({ detail, made, onOpen, addressOf }: PhotosProps) {
  const box = useRef<HTMLUListElement>(null);
  const ids = useHeld(made.ids, box);
  const many = detail.photo_count ?? 0;
  return (
    <section>
      <header class="model-photos-head">
        <h3 class="label">Made with it</h3>
        {many > 0 && (
          <Link href={libraryOf(detail.photo_filter)} class="small">
            {photosWords(many, detail.more_photos)} in the library
          </Link>
        )}
      </header>
      {many === 0 && ids.length === 0 && <p class="small muted">Nothing made yet.</p>}
      <ul class="model-photos" ref={box} aria-label="The newest photos">
        {ids.map((id) => {
          const photo = getPhoto(id);
          return (
            photo && (
              <li key={id}>
                <a
                  href={below(addressOf(id))}
                  aria-label={spokenState(photo.value)}
                  data-testid="panel-photo"
                  data-photo={id}
                  onClick={(event) => {
                    event.preventDefault();
                    onOpen(id);
                  }}
                >
                  <Picture photo={photo} />
                </a>
              </li>
            )
          );
        })}
      </ul>
    </section>
  );
}

/** Chooses the model in the draft of a new session, which keeps its words. */
function generateWith(model: Model): void {
  const { model: before } = draftOf(NEW).peek();
  if (before === modelId(model)) return;
  if (before === null) startWithModel(NEW, model);
  else chooseModel(NEW, findModel(models.peek(), before), model);
}

import type { LineageChanges, Photo } from "../api/types";
import { Icon } from "../components/icon";
import { Focus, ImageOff } from "../components/icons";
import { count } from "../lib/format";
import { changeWords, roleWords } from "../photo/lineage-words";
import { Picture } from "../photo/picture";
import { isMissingKey } from "../state/lineage";
import { getPhoto, photoName } from "../state/photos";
import { sourceName } from "./family-node";
import type { Graph, Line } from "./graph";

interface FamilyPanelProps {
  /** The photo or missing source that is told of. */
  subject: string;
  graph: Graph;
  isCentre: boolean;
  onOpen: () => void;
  onCentre: () => void;
  /** To another of the family. */
  onGo: (key: string) => void;
}

/** All that changed from a picture's sources to the picture. */
export function FamilyPanel({ subject, graph, isCentre, onOpen, onCentre, onGo }: FamilyPanelProps) {
  const photo = isMissingKey(subject) ? undefined : getPhoto(subject);
  const sources = graph.parents.get(subject) ?? [];
  const made = graph.children.get(subject) ?? [];
  return (
    <aside class="family-panel scroll" aria-label="What changed" data-testid="family-panel" data-photo={subject}>
      <div class="family-panel-picture">
        {photo && (
          <div style={boxOf(photo.value)} key={subject}>
            <Picture photo={photo} box={boxOf(photo.value)} />
          </div>
        )}
      </div>
      <header>
        <h2>{photo ? photoName(photo.value) : "A source that is not here any more"}</h2>
        <p class="small muted">
          {[
            isCentre && "This photo",
            photo?.value.deleted_at != null && "In the trash",
            made.length > 0 ? `${count(made.length, "photo")} made from it` : photo && "Nothing made from it",
          ]
            .filter(Boolean)
            .join(" · ")}
        </p>
      </header>
      {!photo && (
        <p class="small">
          InvokeAI names it as a source. It never came here, or it was deleted for good; nothing more is known of it.
        </p>
      )}
      {photo && (
        <div class="family-actions">
          <button type="button" class="button" onClick={onOpen}>
            Open
          </button>
          {!isCentre && (
            <button type="button" class="button" title="Centre (c)" onClick={onCentre}>
              <Icon of={Focus} />
              Centre
            </button>
          )}
        </div>
      )}
      {photo && sources.length === 0 && <p class="small muted">No source of it is known.</p>}
      {sources.map((line) => (
        <Source key={line.key} line={line} onGo={() => onGo(line.from)} />
      ))}
    </aside>
  );
}

const ROOM = { width: 288, height: 180 };

/** As large as fits above the words. */
function boxOf({ width, height }: Photo): { width: number; height: number } {
  const scale = Math.min(ROOM.width / Math.max(1, width), ROOM.height / Math.max(1, height));
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

function Source({ line, onGo }: { line: Line; onGo: () => void }) {
  const photo = isMissingKey(line.from) ? undefined : getPhoto(line.from);
  const roles = line.roles.map(roleWords).filter((role) => role !== null);
  return (
    <section data-testid="family-change">
      <h3 class="label">Made from{roles.length > 0 && ` (${roles.join(", ")})`}</h3>
      <button type="button" class="family-source" onClick={onGo}>
        <span class="family-source-face">{photo ? <Picture photo={photo} /> : <Icon of={ImageOff} />}</span>
        <span class="small">{sourceName(line.from)}</span>
      </button>
      {photo && <Changes changes={line.changes} />}
    </section>
  );
}

function Changes({ changes }: { changes: LineageChanges | null }) {
  const words = changeWords(changes);
  if (words === null) return <p class="small muted">What changed is not known.</p>;
  if (words.length === 0) return <p class="small muted">The same settings.</p>;
  return (
    <ul class="family-changes small">
      {words.map(({ kind, words: change }) => (
        <li key={change} class={kind}>
          {change}
        </li>
      ))}
    </ul>
  );
}

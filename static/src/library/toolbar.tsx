import { useEffect, useState } from "preact/hooks";
import type { PhotoSource, PhotosOfModel } from "../api/types";
import { Icon, IconButton } from "../components/icon";
import { Heart, PanelRight, SlidersHorizontal, X } from "../components/icons";
import { inspectorOpen, rowHeight } from "../lib/preferences";
import { isRoomy, isWide } from "../lib/responsive";
import { catalogue, loadCatalogue } from "../state/models";
import { isNarrowed, type PhotoFilter } from "../state/photo-filter";
import { sessions } from "../state/sessions";
import { UploadButtons } from "../upload/pick";
import { MarkFilter } from "./mark-filter";
import { SearchField } from "./search-field";

const SOURCES: { value: PhotoSource | null; label: string; meaning: string }[] = [
  { value: null, label: "All", meaning: "Every photo" },
  { value: "generated", label: "Studio", meaning: "Made from Darkroom's studio" },
  { value: "mirrored", label: "InvokeAI", meaning: "Made in InvokeAI's own UI" },
  { value: "uploaded", label: "Uploads", meaning: "Uploaded from a browser or by a script" },
];

interface ToolbarProps {
  filter: PhotoFilter;
  onFilter: (change: Partial<PhotoFilter>, isNew?: boolean) => void;
}

/** What to show, how large, and the inspector's switch. Where there is little room the filters stand in a row of their own. */
export function Toolbar({ filter, onFilter }: ToolbarProps) {
  const narrowed = isNarrowed(filter);
  const [shown, show] = useState(narrowed);
  return (
    <>
      <SearchField q={filter.q} onSearch={(q, isNew) => onFilter({ q }, isNew)} />
      {isWide.value ? (
        <Filters filter={filter} onFilter={onFilter} />
      ) : (
        <IconButton icon={SlidersHorizontal} label="Filters" pressed={shown || narrowed} onClick={() => show(!shown)} />
      )}
      {!isWide.value && shown && (
        <div class="filter-row">
          <Filters filter={filter} onFilter={onFilter} />
        </div>
      )}
      <ViewControls />
      <UploadButtons />
    </>
  );
}

/** The size of the pictures, and the inspector. */
export function ViewControls() {
  return (
    <>
      <input
        type="range"
        class="row-height"
        min={120}
        max={320}
        step={10}
        aria-label="Size of the pictures"
        title="Size of the pictures"
        value={rowHeight.value}
        onInput={(event) => (rowHeight.value = event.currentTarget.valueAsNumber)}
      />
      <IconButton
        icon={PanelRight}
        label="Info"
        keys="i"
        class="inspector-switch"
        pressed={inspectorOpen.value}
        onClick={() => (inspectorOpen.value = !inspectorOpen.value)}
      />
    </>
  );
}

function Filters({ filter, onFilter }: ToolbarProps) {
  const used = sessions.value?.filter((session) => session.step_count > 0 || session.id === filter.session) ?? [];
  return (
    <>
      {filter.madeWith !== null && <MadeWithChip madeWith={filter.madeWith} onClear={() => onFilter({ madeWith: null })} />}
      <SourceFilter source={filter.source} onSource={(source) => onFilter({ source })} />
      {used.length > 0 && (
        <select
          class="input session-filter"
          aria-label="Session"
          value={filter.session ?? ""}
          onChange={(event) => onFilter({ session: event.currentTarget.value || null })}
        >
          <option value="">All sessions</option>
          {used.map((session) => (
            <option key={session.id} value={session.id}>
              {session.name}
            </option>
          ))}
        </select>
      )}
      <IconButton
        icon={Heart}
        label="Only favourites"
        class="favorite"
        pressed={filter.favorite}
        onClick={() => onFilter({ favorite: !filter.favorite })}
      />
      <MarkFilter filter={filter} onFilter={onFilter} />
      {filter.tag !== null && (
        <span class="tag tag-filter">
          <span class="ellipsis" title={`Tag: ${filter.tag}`}>
            {filter.tag}
          </span>
          <button
            type="button"
            aria-label={`Not only ${filter.tag}`}
            title="Remove this filter"
            onClick={() => onFilter({ tag: null })}
          >
            <Icon of={X} />
          </button>
        </span>
      )}
    </>
  );
}

/** A list in the bar of a narrow window, where buttons would leave no room for the search. */
function SourceFilter({ source, onSource }: { source: PhotoSource | null; onSource: (source: PhotoSource | null) => void }) {
  if (isWide.value && !isRoomy.value) {
    return (
      <select
        class="input session-filter"
        aria-label="Where photos came from"
        value={source ?? ""}
        onChange={(event) => onSource(SOURCES.find(({ value }) => value === event.currentTarget.value)?.value ?? null)}
      >
        {SOURCES.map(({ value, label }) => (
          <option key={label} value={value ?? ""}>
            {label}
          </option>
        ))}
      </select>
    );
  }
  return (
    <div class="segments source-filter" role="group" aria-label="Where photos came from">
      {SOURCES.map(({ value, label, meaning }) => (
        <button key={label} type="button" title={meaning} aria-pressed={source === value} onClick={() => onSource(value)}>
          {label}
        </button>
      ))}
    </div>
  );
}

/** Which model the photos are of; a press shows all again. */
function MadeWithChip({ madeWith, onClear }: { madeWith: PhotosOfModel; onClear: () => void }) {
  useEffect(() => {
    if (catalogue.peek() === null) void loadCatalogue();
  }, []);
  const name = nameOf(madeWith);
  return (
    <button type="button" class="chip" aria-label={`Only photos made with ${name}: show all`} title="Show all" onClick={onClear}>
      <span class="ellipsis">{name}</span>
      <Icon of={X} />
    </button>
  );
}

/** Its keys come first, and last its name, unless another model has it too. */
function nameOf({ model, lora }: PhotosOfModel): string {
  const values = [...(model ?? []), ...(lora ?? [])];
  const known = [...(catalogue.value?.items ?? []), ...(catalogue.value?.missing ?? [])];
  return known.find((one) => values.includes(one.key))?.name ?? values.at(-1)!;
}

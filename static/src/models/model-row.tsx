import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { Icon } from "../components/icon";
import { Unplug } from "../components/icons";
import { below } from "../lib/base";
import { isPhone } from "../lib/responsive";
import { libraryOf } from "../photo/made-with";
import { Picture } from "../photo/picture";
import { getPhoto, spokenState } from "../state/photos";
import { type Entry, photosWords } from "./entries";
import { serversWords } from "./servers";
import { type MadeWith, useHeld, useMadeWith } from "./use-made-with";
import type { ModelAddress } from "./use-model-address";

/** As many as there is room for on a wide screen (models.css). */
const MOST = 8;

/** A model in the list: what it is, where it is, and the newest that was made with it. */
export function ModelRow({ entry, address }: { entry: Entry; address: ModelAddress }) {
  const row = useRef<HTMLLIElement>(null);
  const isSeen = useSeen(row);
  const hasPhotos = entry.type === "main" || entry.type === "lora";
  const made = useMadeWith(entry.key, isSeen && hasPhotos, MOST);
  const isOpen = address.model === entry.key;
  const isMissing = entry.servers.length === 0;
  return (
    <li class={`model-row ${hasPhotos ? "" : "plain"}`} ref={row} data-testid="model-row" data-model={entry.key}>
      <div class="model-words">
        <p class="model-title">
          <Link
            href={address.addressOf({ model: entry.key, photo: null })}
            class="model-name ellipsis"
            title={entry.name}
            aria-current={isOpen ? "true" : undefined}
            onKeyDown={walk}
            onClick={(event) => {
              if (event.ctrlKey || event.metaKey || event.shiftKey) return;
              event.preventDefault();
              if (!isOpen) address.open(entry.key);
            }}
          >
            {entry.name}
          </Link>
          {isMissing && <MissingTag />}
        </p>
        <p class="small muted ellipsis">{serversWords(entry)}</p>
      </div>
      {hasPhotos && <Strip made={made} entry={entry} address={address} />}
      {hasPhotos && <Count made={made} name={entry.name} />}
    </li>
  );
}

export function MissingTag() {
  return (
    <span class="tag missing" title="No server has it any more">
      <Icon of={Unplug} />
      Missing
    </span>
  );
}

/** The newest photos; Tab passes them by, for they are in the model's panel too. */
function Strip({ made, entry, address }: { made: MadeWith; entry: Entry; address: ModelAddress }) {
  const box = useRef<HTMLDivElement>(null);
  const ids = useHeld(made.ids, box);
  return (
    <div class="model-strip" ref={box}>
      {ids.map((id) => {
        const photo = getPhoto(id);
        return (
          photo && (
            <a
              key={id}
              href={below(address.addressOf({ model: entry.key, photo: id }))}
              tabIndex={-1}
              aria-label={spokenState(photo.value)}
              data-testid="model-photo"
              data-photo={id}
              onClick={(event) => {
                event.preventDefault();
                address.open(entry.key, id);
              }}
            >
              <Picture photo={photo} />
            </a>
          )
        );
      })}
    </div>
  );
}

function Count({ made: { detail, error }, name }: { made: MadeWith; name: string }) {
  if (detail === null)
    return <p class="model-count small muted">{error === null ? "" : <span class="bad">Cannot be read</span>}</p>;
  const { photo_count: many, more_photos: more, photo_filter: filter } = detail;
  if (!many) return <p class="model-count small muted">Nothing made yet</p>;
  const words = photosWords(many, more);
  // There is no room for a thumb; the row opens the model, which has the link.
  if (isPhone.value) return <p class="model-count small muted">{words}</p>;
  return (
    <p class="model-count small">
      <Link href={libraryOf(filter)} aria-label={`${words} made with ${name}, in the library`} title="See them in the library">
        {words}
      </Link>
    </p>
  );
}

/** Arrows lead from name to name, across groups. */
function walk(event: KeyboardEvent): void {
  const to = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
  if (to === undefined) return;
  const names = [...document.querySelectorAll<HTMLElement>(".model-name")];
  event.preventDefault();
  names[Math.min(names.length - 1, Math.max(0, names.indexOf(document.activeElement as HTMLElement) + to))]!.focus();
}

/** A row that comes into view soon is ready then. */
const AHEAD = "200px";

const told = new WeakMap<Element, (isSeen: boolean) => void>();
let observer: IntersectionObserver | undefined;

function observe(element: Element, tell: (isSeen: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) told.get(target)?.(isIntersecting);
    },
    { rootMargin: AHEAD },
  );
  told.set(element, tell);
  observer.observe(element);
  return () => {
    observer!.unobserve(element);
    told.delete(element);
  };
}

/** Whether an element is in view, or nearly. */
function useSeen(element: RefObject<HTMLElement>): boolean {
  const [isSeen, setSeen] = useState(false);
  useEffect(() => observe(element.current!, setSeen), []);
  return isSeen;
}

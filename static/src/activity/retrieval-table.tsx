import type { Photo } from "../api/types";
import { Icon } from "../components/icon";
import { CircleCheck, RotateCcw, Trash2 } from "../components/icons";
import { type Column, Table } from "../components/table";
import { below } from "../lib/base";
import { ago, dateTime, duration } from "../lib/format";
import { useNow } from "../lib/use-now";
import { Picture, RetryRetrieval } from "../photo/picture";
import { backendName } from "../state/backends";
import { retryAll, trashPhotos } from "../state/photo-actions";
import { canRetry, getPhoto, isTriedAgain, lostReason } from "../state/photos";
import { moreTroubled, troubled, troubledError } from "../state/retrievals";
import { settings } from "../state/settings";

interface RetrievalTableProps {
  addressOf: (id: string) => string;
  onOpen: (id: string) => void;
}

/** Photos that did not come home so far, why, and what can be done. */
export function RetrievalTable({ addressOf, onOpen }: RetrievalTableProps) {
  const now = useNow(1_000);
  const photos = (troubled.value ?? []).map((id) => getPhoto(id)?.value).filter((photo) => photo !== undefined);
  const [givenUp, triedAgain] = [photos.filter((photo) => !isTriedAgain(photo)), photos.filter(isTriedAgain)];
  const columns: Column<Photo>[] = [
    {
      name: "Photo",
      by: nameOf,
      cell: (photo) => <Name photo={photo} href={addressOf(photo.id)} onOpen={onOpen} />,
      class: "photo",
    },
    { name: "Server", by: (photo) => backendName(photo.backend_id), cell: (photo) => backendName(photo.backend_id) },
    { name: "Created", by: (photo) => photo.created_at, cell: (photo) => ago(photo.created_at, now) },
    { name: "Tried", by: (photo) => photo.retrieval_attempts, cell: (photo) => tried(photo, now) },
    {
      name: "What happened",
      cell: (photo) => <span class={isTriedAgain(photo) ? "warn" : "bad"}>{lostReason(photo)}</span>,
      class: "wide",
    },
    { name: "Action", cell: (photo) => <Action photo={photo} />, class: "action" },
  ];
  return (
    <section class="card" id="retrievals" data-testid="retrievals">
      <header class="card-head">
        <h2>Retrievals</h2>
        {photos.length > 0 && (
          <button type="button" class="button compact" onClick={() => void retryAll(photos[0]!.id)}>
            <Icon of={RotateCcw} />
            Retry all
          </button>
        )}
      </header>
      {troubledError.value !== null && <p class="bad small">{troubledError.value}</p>}
      <Part name="Given up" meaning="Nothing more is tried unless you retry." columns={columns} photos={givenUp} />
      <Part
        name="Tried again"
        meaning="Darkroom goes on by itself. There is nothing to do."
        columns={columns}
        photos={triedAgain}
      />
      {moreTroubled.value && <p class="muted small">These are the newest; older ones are not listed.</p>}
      {troubled.value !== null && photos.length === 0 && (
        <p class="all-well muted">
          <Icon of={CircleCheck} />
          Nothing went wrong on the way home.
        </p>
      )}
    </section>
  );
}

interface PartProps {
  name: string;
  meaning: string;
  columns: readonly Column<Photo>[];
  photos: readonly Photo[];
}

function Part({ name, meaning, columns, photos }: PartProps) {
  if (photos.length === 0) return null;
  return (
    <div class="retrievals-part" data-testid={`retrievals-${name === "Given up" ? "given-up" : "tried-again"}`}>
      <h3>
        {name} <span class="muted">{photos.length}</span>
      </h3>
      <p class="small muted">{meaning}</p>
      <Table label={`Retrievals: ${name.toLowerCase()}`} columns={columns} rows={photos} rowKey={(photo) => photo.id} />
    </div>
  );
}

/** A prompt that InvokeAI alone knows comes with the file. */
function nameOf(photo: Photo): string {
  return photo.caption || photo.generation_prompt || `Image of ${dateTime(photo.created_at)}`;
}

/** "5 of 5", or "2 of 5, next in 40 s". */
function tried(photo: Photo, now: number): string {
  const most = settings.value?.retrieval_max_attempts;
  const times = most !== undefined ? `${photo.retrieval_attempts} of ${most}` : String(photo.retrieval_attempts);
  if (photo.retrieval_status === "gone" || photo.next_retrieval_attempt === null) return times;
  const left = (Date.parse(photo.next_retrieval_attempt) - now) / 1000;
  return left > 0 ? `${times}, next in ${duration(left)}` : `${times}, next now`;
}

function Name({ photo, href, onOpen }: { photo: Photo; href: string; onOpen: (id: string) => void }) {
  const known = getPhoto(photo.id)!;
  return (
    <a
      class="photo-name"
      href={below(href)}
      onClick={(event) => {
        event.preventDefault();
        onOpen(photo.id);
      }}
    >
      <span class="photo-face" aria-hidden="true">
        <Picture photo={known} />
      </span>
      <span class="ellipsis" title={nameOf(photo)}>
        {nameOf(photo)}
      </span>
    </a>
  );
}

function Action({ photo }: { photo: Photo }) {
  if (isTriedAgain(photo)) return <RetryRetrieval photo={photo} />;
  return (
    <>
      {canRetry(photo) && <RetryRetrieval photo={photo} />}
      {(!canRetry(photo) || photo.retrieval_status === "gone") && (
        <button type="button" class="button compact retry" onClick={() => void trashPhotos([photo.id])}>
          <Icon of={Trash2} />
          Trash
        </button>
      )}
    </>
  );
}

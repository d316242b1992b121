import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { PhotoAlbums } from "../albums/photo-albums";
import type { Photo } from "../api/types";
import { IconButton } from "../components/icon";
import { Check, Copy } from "../components/icons";
import { toast } from "../lib/toasts";
import { type Fact, fileFacts, madeWith } from "../photo/facts";
import { PhotoMarks } from "../photo/photo-marks";
import { RetryRetrieval } from "../photo/picture";
import { canBeSource, sourceAddress } from "../photo/source-address";
import { TagField } from "../photo/tag-field";
import { CaptionField, NameField } from "../photo/text-fields";
import { useWholePhoto } from "../photo/use-photo";
import { canRetry, isHome, isLost, lostReason } from "../state/photos";
import { LineageStrip } from "./lineage-strip";

const CONFIRMED_MS = 1_500;
/** Who only walks past asks for nothing. */
const AFTER_MS = 150;

/** All that is known of one photo. */
export function Inspector({ photo, onOpen }: { photo: Signal<Photo>; onOpen: (id: string) => void }) {
  const now = photo.value;
  const { photo: whole } = useWholePhoto(now.is_generated ? now.id : null, { sha256: now.sha256, after: AFTER_MS });
  // Lists cut prompts that are very long.
  const prompt = whole?.generation_prompt ?? now.generation_prompt;
  const negative = whole?.generation_negative_prompt ?? now.generation_negative_prompt;
  return (
    <div class="inspector-facts" data-testid="inspector">
      <Retrieval photo={now} />
      {now.damaged && (
        <p class="note warn small" data-testid="damaged">
          The file is damaged: it lacks its end. The picture is whole all the same.
        </p>
      )}
      <OwnerFields photo={now} />
      <LineageStrip id={now.id} onOpen={onOpen} />
      {prompt && (
        <Part name="Prompt" copy={prompt}>
          <Prompt text={prompt} />
        </Part>
      )}
      {negative && (
        <Part name="Negative prompt" copy={negative}>
          <Prompt text={negative} muted />
        </Part>
      )}
      <Part name={now.is_generated ? "Generation" : "Picture"}>
        <Facts facts={madeWith(now, whole)} />
      </Part>
      <Part name="Albums">
        <PhotoAlbums photo={now} />
      </Part>
      <Part name="File">
        <Facts facts={fileFacts(now)}>
          <div class="file-name-row">
            <dt>File name</dt>
            <dd>
              <NameField photo={now} />
              <CopyButton text={now.filename} what="file name" />
            </dd>
          </div>
        </Facts>
      </Part>
      {now.session_id && now.step_id && (
        <Link href={`/studio/${now.session_id}/${now.step_id}`} class="button">
          Open in the studio
        </Link>
      )}
      {!now.step_id && now.generation_prompt && (
        <Link href={`/studio/new?from=${now.id}`} class="button">
          Use in the studio
        </Link>
      )}
      {canBeSource(now) && (
        <Link href={sourceAddress(now)} class="button" title="Use as source (e)">
          Use as source
        </Link>
      )}
    </div>
  );
}

/** What the owner says of it; in the trash it can be read, and is kept. */
function OwnerFields({ photo }: { photo: Photo }) {
  return (
    <fieldset class="owner-fields" disabled={photo.deleted_at !== null}>
      <section>
        <header>
          <h3 class="label">Rating and flag</h3>
        </header>
        <PhotoMarks photo={photo} hasHeart />
      </section>
      <section>
        <header>
          <h3 class="label">Caption</h3>
        </header>
        <CaptionField photo={photo} />
      </section>
      <section>
        <header>
          <h3 class="label">Tags</h3>
        </header>
        <TagField photo={photo} />
      </section>
    </fieldset>
  );
}

function Retrieval({ photo }: { photo: Photo }) {
  if (isHome(photo)) return null;
  if (!isLost(photo)) {
    const trouble = photo.retrieval_error !== null ? ` ${lostReason(photo)}.` : "";
    return <p class="note warn small">On its way home from InvokeAI.{trouble}</p>;
  }
  return (
    <div class="note small">
      <p class="bad">{lostReason(photo)}</p>
      {canRetry(photo) && <RetryRetrieval photo={photo} />}
    </div>
  );
}

function Part({ name, copy, children }: { name: string; copy?: string; children: ComponentChildren }) {
  return (
    <section>
      <header>
        <h3 class="label">{name}</h3>
        {copy && <CopyButton text={copy} what={name.toLowerCase()} />}
      </header>
      {children}
    </section>
  );
}

/** The first lines of it; all on demand, where there are more. */
function Prompt({ text, muted = false }: { text: string; muted?: boolean }) {
  const [all, showAll] = useState(false);
  const [isLong, setLong] = useState(false);
  const element = useRef<HTMLParagraphElement>(null);
  useLayoutEffect(() => {
    const paragraph = element.current!;
    const measure = () => setLong((was) => (all ? was : paragraph.scrollHeight > paragraph.clientHeight + 1));
    const observer = new ResizeObserver(measure);
    observer.observe(paragraph);
    measure();
    return () => observer.disconnect();
  }, [text, all]);
  return (
    <>
      <p class={`prompt ${muted ? "muted" : ""} ${all ? "" : "clamped"}`} ref={element}>
        {text}
      </p>
      {isLong && (
        <button type="button" class="button quiet compact show-all" aria-expanded={all} onClick={() => showAll(!all)}>
          {all ? "Show less" : "Show all"}
        </button>
      )}
    </>
  );
}

export function Facts({ facts, children }: { facts: readonly Fact[]; children?: ComponentChildren }) {
  return (
    <dl>
      {children}
      {facts.map(({ name, value, mono, copy }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={mono ? "mono" : ""}>
            <span class="ellipsis" title={value}>
              {value}
            </span>
            {copy && <CopyButton text={value} what={name.toLowerCase()} />}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function CopyButton({ text, what }: { text: string; what: string }) {
  const [copied, setCopied] = useState(false);
  async function copy() {
    try {
      await copyText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), CONFIRMED_MS);
    } catch {
      toast("The browser did not allow copying. Select the text and copy it by hand.", { tone: "bad" });
    }
  }
  return (
    <IconButton
      class="copy"
      icon={copied ? Check : Copy}
      label={copied ? "Copied" : `Copy the ${what}`}
      onClick={() => void copy()}
    />
  );
}

/** Copies text; rejects when the browser forbids it. `navigator.clipboard` exists only on https and localhost. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden-text";
  // Inside an open dialog or viewer only what is within it can be selected.
  (document.activeElement?.parentElement ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("The browser did not copy.");
}

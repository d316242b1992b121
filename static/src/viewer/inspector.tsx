import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import type { Photo } from "../api/types";
import { copyText } from "../app/clipboard";
import { toast } from "../app/toasts";
import { RetryRetrieval } from "../library/picture";
import { IconButton } from "../shell/icon";
import { Check, Copy } from "../shell/icons";
import { canRetry, isHome, isLost, lostReason } from "../state/photos";
import { type Fact, fileFacts, madeWith } from "./facts";

const CONFIRMED_MS = 1_500;

/** All that is known of one photo. */
export function Inspector({ photo }: { photo: Signal<Photo> }) {
  const now = photo.value;
  return (
    <div class="inspector-facts" data-testid="inspector">
      <Retrieval photo={now} />
      {now.damaged && (
        <p class="note warn small" data-testid="damaged">
          The file is damaged: it lacks its end. The picture is whole all the same.
        </p>
      )}
      {now.generation_prompt && (
        <Part name="Prompt" copy={now.generation_prompt}>
          <Prompt text={now.generation_prompt} />
        </Part>
      )}
      {now.generation_negative_prompt && (
        <Part name="Negative prompt" copy={now.generation_negative_prompt}>
          <Prompt text={now.generation_negative_prompt} muted />
        </Part>
      )}
      <Part name={now.is_generated ? "Generation" : "Picture"}>
        <Facts facts={madeWith(now)} />
      </Part>
      <Part name="File">
        <Facts facts={fileFacts(now)} />
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
    </div>
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

function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl>
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

import { effect } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { navigate, useHistoryState } from "wouter-preact/use-browser-location";
import { Icon, IconButton } from "../components/icon";
import { ChevronDown, CircleAlert, CircleCheck, Upload, X } from "../components/icons";
import { ProgressBar, Ring } from "../components/progress";
import { enterPage, useKeptFocus } from "../lib/focus";
import { count } from "../lib/format";
import { useKeys } from "../lib/keys";
import { goBack, goOn } from "../lib/navigation";
import { closeByPulling } from "../lib/pull-down";
import { isPhone } from "../lib/responsive";
import { pickFiles } from "./pick";
import type { Sums } from "./tally";
import { UploadList } from "./upload-list";
import { destination, isOpen, queue } from "./uploads";
import { isDragging, useIntake } from "./use-intake";
import { detail, exceptions, headline, spoken } from "./words";

/** Over every page: what is being uploaded, and the way to upload more. */
export function Uploads() {
  useIntake();
  useKeys({ "shift+u": pickFiles });
  const said = useSpoken();
  return (
    <>
      <span class="hidden-text" role="status" data-testid="upload-status">
        {said}
      </span>
      {queue.uploads.value.length > 0 && <Queue />}
      {isDragging.value && <DropOverlay />}
    </>
  );
}

/** Said where the password is asked for. */
export function WaitingUploads() {
  const { unfinished } = queue.sums.value;
  return unfinished > 0 ? (
    <p class="small muted login-note">
      {count(unfinished, "upload")} {unfinished === 1 ? "goes" : "go"} on once you are signed in. Keep this page open.
    </p>
  ) : null;
}

function DropOverlay() {
  const to = destination.value;
  return (
    <div class="drop-overlay" data-testid="drop-overlay">
      <p>
        <Icon of={Upload} />
        {to ? `Drop to add to “${to.name}”` : "Drop to upload"}
      </p>
    </div>
  );
}

function Queue() {
  const { isOpen, open, close } = useOpen();
  const place = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const queue = place.current!;
    return () => {
      if (queue.contains(document.activeElement)) enterPage();
    };
  }, []);
  useKeptFocus(place, isOpen, () => place.current?.querySelector(isOpen ? ".uploads-collapse" : ".uploads-pill"));
  return (
    <aside class={`uploads ${isOpen ? "open" : ""}`} aria-label="Uploads" data-testid="upload-queue" ref={place}>
      {isOpen ? <Panel onCollapse={close} /> : <Pill onOpen={open} />}
    </aside>
  );
}

function hasTrouble({ refused, failed }: Sums): boolean {
  return refused + failed > 0;
}

function Pill({ onOpen }: { onOpen: () => void }) {
  const sums = queue.sums.value;
  const hold = queue.hold.value;
  const words = sums.unfinished > 0 && hold ? "Uploads wait" : headline(sums);
  const bad = hasTrouble(sums);
  return (
    <button
      type="button"
      class="uploads-pill"
      aria-expanded={false}
      aria-label={`${[words, exceptions(sums).replaceAll(" · ", ", ")].filter(Boolean).join(", ")}. Show the uploads`}
      onClick={onOpen}
    >
      {sums.unfinished > 0 ? <Ring portion={sums.portion} /> : <Icon of={bad ? CircleAlert : CircleCheck} />}
      <span class="ellipsis">{words}</span>
      {bad && <span class="dot bad" />}
    </button>
  );
}

function Panel({ onCollapse }: { onCollapse: () => void }) {
  const sums = queue.sums.value;
  const hold = queue.hold.value;
  const words = detail(sums, hold);
  const canRetry = sums.failed + sums.canceled;
  const isOver = sums.unfinished === 0;
  const sheet = useRef<HTMLElement>(null);
  useEffect(() => {
    const list = sheet.current!.querySelector<HTMLElement>(".uploads-list")!;
    return isPhone.value ? closeByPulling(sheet.current!, onCollapse, list) : undefined;
  }, [isPhone.value]);
  return (
    <section
      class="uploads-panel"
      ref={sheet}
      aria-label="Upload queue"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || event.defaultPrevented) return;
        event.preventDefault();
        onCollapse();
      }}
    >
      <span class="sheet-grip" aria-hidden="true" />
      <header>
        <h2>{headline(sums)}</h2>
        <IconButton
          class={isOver ? "" : "kept-place"}
          icon={X}
          label="Clear all and close"
          disabled={!isOver}
          onClick={() => queue.clear(true)}
        />
        <IconButton class="uploads-collapse" icon={ChevronDown} label="Collapse" keys="Esc" onClick={onCollapse} />
      </header>
      <div class="uploads-sum">
        <ProgressBar portion={isOver ? sums.here / sums.all : (sums.portion ?? 0)} label="All uploads" />
        <p class={`small ${hold && !isOver ? "warn" : "muted"}`} data-testid="upload-detail">
          {words}
        </p>
      </div>
      <UploadList />
      <footer>
        <button type="button" class="button compact quiet" aria-disabled={isOver} onClick={() => queue.cancelAll()}>
          Cancel all
        </button>
        <button type="button" class="button compact quiet" aria-disabled={canRetry === 0} onClick={() => queue.retryAll()}>
          Try again
        </button>
        <button type="button" class="button compact quiet" aria-disabled={sums.here === 0} onClick={() => queue.clear()}>
          Clear uploaded
        </button>
      </footer>
    </section>
  );
}

interface Opened {
  uploads?: boolean;
}

/** Whether the queue is shown whole. On a phone it is a sheet with a place in the history, which Back closes. */
function useOpen(): { isOpen: boolean; open: () => void; close: () => void } {
  const state = useHistoryState<Opened | null>();
  if (!isPhone.value) {
    return { isOpen: isOpen.value, open: () => (isOpen.value = true), close: () => (isOpen.value = false) };
  }
  return {
    isOpen: state?.uploads === true,
    open: () => {
      goOn();
      navigate(location.href, { state: { ...(history.state as object | null), uploads: true } });
    },
    close: () => void goBack(),
  };
}

/** So often at most is a reader told how far it is. */
const EVERY_MS = 10_000;

/** What is said aloud of the uploads: when they begin, why they wait, how they ended, and how far they are now and then. */
function useSpoken(): string {
  const [said, say] = useState("");
  useEffect(() => {
    let kind = "";
    let at = 0;
    return effect(() => {
      const sums = queue.sums.value;
      const hold = queue.hold.value;
      const next = sums.all === 0 ? "none" : sums.unfinished === 0 ? "over" : (hold?.kind ?? "going on");
      const now = performance.now();
      if (next === kind && (next !== "going on" || now - at < EVERY_MS)) return;
      kind = next;
      at = now;
      say(spoken(sums, hold));
    });
  }, []);
  return said;
}

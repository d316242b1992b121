import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { count } from "../app/format";
import { useKeys } from "../app/keys";
import { closeByPulling } from "../app/pull-down";
import { isPhone } from "../app/responsive";
import { enterPage } from "../shell/frame";
import { Icon, IconButton } from "../shell/icon";
import { ChevronDown, CircleAlert, CircleCheck, Upload, X } from "../shell/icons";
import { ProgressBar } from "../shell/progress-bar";
import { Ring } from "../shell/ring";
import { pickFiles } from "./pick";
import type { Sums } from "./tally";
import { UploadList } from "./upload-list";
import { destination, queue } from "./uploads";
import { isDragging, useIntake } from "./use-intake";
import { useKeptFocus } from "./use-kept-focus";
import { useOpen } from "./use-open";
import { useSpoken } from "./use-spoken";
import { detail, exceptions, headline } from "./words";

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

import { useRef, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { Icon, IconButton } from "../components/icon";
import { CircleAlert, CircleCheck, FileImage, RotateCcw, X } from "../components/icons";
import { Ring } from "../components/progress";
import { useKeptFocus } from "../lib/focus";
import type { Upload } from "./upload";
import { queue } from "./uploads";
import { stateOf } from "./words";

interface UploadRowProps {
  upload: Upload;
  top: number;
  height: number;
  place: number;
  of: number;
  /** Tab stops at it: of the whole list, only this one. */
  isStop: boolean;
  /** The focus has come to it. */
  onReach: () => void;
}

/** One file: what it is, how far, and what can be done about it. */
export function UploadRow({ upload, top, height, place, of, isStop, onReach }: UploadRowProps) {
  const row = useRef<HTMLDivElement>(null);
  const status = upload.status.value;
  useKeptFocus(row, status.at, () => row.current);
  const { name } = upload.file;
  const words = stateOf(status, upload.file.size, upload.shown.value);
  const isBad = status.at === "refused" || status.at === "failed";
  const stop = isStop ? 0 : -1;
  return (
    <div
      ref={row}
      class="upload"
      role="listitem"
      tabIndex={stop}
      aria-label={`${name}: ${words}`}
      aria-setsize={of}
      aria-posinset={place}
      data-testid="upload"
      data-state={status.at}
      data-stop={isStop || undefined}
      style={{ top: `${top}px`, height: `${height}px` }}
      onFocusIn={onReach}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget) return;
        if (event.key === "Delete") queue.cancel(upload);
        else if (event.key === "Enter" || event.key === " ") row.current!.querySelector("a")?.click();
        else return;
        event.preventDefault();
      }}
    >
      <UploadPicture upload={upload} />
      <div class="upload-words">
        {status.at === "here" ? (
          <Link
            class="ellipsis"
            href={`/?photo=${status.photo.id}`}
            state={{ opened: true }}
            tabIndex={stop}
            title={name}
            aria-label={`Open ${name}`}
          >
            {name}
          </Link>
        ) : (
          <span class="ellipsis" title={upload.file.webkitRelativePath || name}>
            {name}
          </span>
        )}
        <span class={`small ${isBad ? "bad" : "muted"}`} title={isBad ? words : undefined}>
          {words}
        </span>
      </div>
      {(isBad || status.at === "canceled") && (
        <IconButton icon={RotateCcw} label={`Try ${name} again`} stop={stop} onClick={() => queue.retry(upload)} />
      )}
      {!upload.hasEnded && <IconButton icon={X} label={`Cancel ${name}`} stop={stop} onClick={() => queue.cancel(upload)} />}
    </div>
  );
}

function UploadPicture({ upload }: { upload: Upload }) {
  const status = upload.status.value;
  const { size } = upload.file;
  /** Its thumbnail cannot be fetched just now. */
  const [isUnseen, setUnseen] = useState(false);
  const hide = () => setUnseen(true);
  return (
    <span class="upload-picture" aria-hidden="true">
      {status.at === "here" &&
        (isUnseen ? <Icon of={CircleCheck} /> : <img src={status.photo.thumbnail_url} alt="" onError={hide} />)}
      {status.at === "sending" && <Ring portion={size > 0 ? upload.shown.value / size : null} />}
      {status.at === "checking" && <Ring portion={null} />}
      {(status.at === "refused" || status.at === "failed") && <Icon of={CircleAlert} />}
      {(status.at === "waiting" || status.at === "canceled") && <Icon of={FileImage} />}
    </span>
  );
}

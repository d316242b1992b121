// Files that are dropped on the page or pasted.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { isTyping } from "../lib/keys";
import { droppedOn } from "./entries";
import { upload, uploadDropped } from "./uploads";

/** Files are being dragged over the page. */
export const isDragging = signal(false);

/** A picture of the page itself is dragged, which a browser offers as a file too. */
let isOwn = false;

/** Whether files from elsewhere are dragged, which nothing on the page has taken yet. */
export function bringsFiles(event: DragEvent): boolean {
  return !isOwn && !event.defaultPrevented && event.dataTransfer?.types.includes("Files") === true;
}

/** Anywhere on the page files can be dropped and pasted. */
export function useIntake(): void {
  useEffect(() => {
    const listening = new AbortController();
    const on = <K extends keyof WindowEventMap>(type: K, hear: (event: WindowEventMap[K]) => void) =>
      addEventListener(type, hear, { signal: listening.signal });
    const over = (event: DragEvent) => {
      if (!bringsFiles(event)) return;
      event.preventDefault();
      event.dataTransfer!.dropEffect = "copy";
      isDragging.value = true;
    };
    on("dragstart", () => (isOwn = true));
    on("dragend", () => (isOwn = false));
    // No pointer moves while anything is dragged: the end of the drag was told to nobody, as what was dragged has gone.
    on("pointermove", () => (isOwn = isDragging.value = false));
    on("dragenter", over);
    on("dragover", over);
    on("dragleave", (event) => {
      if (event.relatedTarget === null) isDragging.value = false;
    });
    on("drop", (event) => {
      isDragging.value = false;
      if (!bringsFiles(event)) return;
      event.preventDefault();
      void uploadDropped(droppedOn(event.dataTransfer!));
    });
    on("paste", (event) => {
      const files = pasted(event);
      if (files.length === 0) return;
      event.preventDefault();
      upload(files);
    });
    return () => {
      listening.abort();
      isDragging.value = false;
    };
  }, []);
}

/** The files of the clipboard; none where its text is meant. */
export function pasted({ clipboardData, target, defaultPrevented }: ClipboardEvent): File[] {
  if (clipboardData === null || defaultPrevented) return [];
  const hasText = clipboardData.types.some((type) => type.startsWith("text/"));
  if (hasText && isTyping(target)) return [];
  return [...clipboardData.files].map(named);
}

const NAMELESS = /^image\.(\w+)$/;

/** A picture without a file is called the same by every browser: the time tells it from others. */
function named(file: File): File {
  const [, ending] = NAMELESS.exec(file.name) ?? [];
  if (ending === undefined) return file;
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(".");
  return new File([file], `Pasted ${day} ${time}.${ending}`, { type: file.type });
}

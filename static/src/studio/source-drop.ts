import type { Signal } from "@preact/signals";
import { dropTarget, isOurs } from "../photo/drag";
import { canBeSource } from "../photo/source-address";
import { getPhoto } from "../state/photos";
import { bringsFiles, isDragging, pasted } from "../upload/use-intake";
import type { Draft } from "./draft";
import { takeSource } from "./kept-drafts";
import { dismissArrival, refuseSource, uploadSource } from "./source-upload";

/** What lets an element take a picture that becomes the draft's source: dropped as a file or as a photo, or pasted. */
export function sourcePlace(draft: Signal<Draft>) {
  const photos = dropTarget(({ ids, all }) => takePhotos(draft, all === null ? ids : []));
  const over = (event: DragEvent) => {
    if (isOurs(event)) return photos.onDragOver(event);
    if (!bringsFiles(event)) return;
    event.preventDefault();
    event.dataTransfer!.dropEffect = "copy";
    // What is dropped here is not dropped on the page.
    isDragging.value = false;
    (event.currentTarget as HTMLElement).dataset.over = "";
  };
  return {
    onDragEnter: over,
    onDragOver: over,
    onDragLeave: photos.onDragLeave,
    onDrop: (event: DragEvent) => {
      if (isOurs(event)) return photos.onDrop(event);
      if (!bringsFiles(event)) return;
      event.preventDefault();
      isDragging.value = false;
      delete (event.currentTarget as HTMLElement).dataset.over;
      takeFiles(draft, event.dataTransfer!);
    },
    /** Several files are uploaded, as anywhere on the page. */
    onPaste: (event: ClipboardEvent) => {
      const [file, ...others] = pasted(event);
      if (!file?.type.startsWith("image/") || others.length > 0) return;
      event.preventDefault();
      uploadSource(draft, file);
    },
  };
}

function takePhotos(draft: Signal<Draft>, ids: readonly string[]): void {
  const [id] = ids;
  const photo = id === undefined ? undefined : getPhoto(id)?.peek();
  if (ids.length !== 1 || photo === undefined) return refuseSource(draft, "One photo at a time can be the source.");
  if (!canBeSource(photo)) return refuseSource(draft, "This photo is not home yet. It can be a source once it is.");
  dismissArrival(draft);
  takeSource(draft, photo);
}

function takeFiles(draft: Signal<Draft>, { files, items }: DataTransfer): void {
  const [file, ...others] = files;
  const isFolder = [...items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
  if (isFolder) refuseSource(draft, "A folder cannot be the source. Drop one picture.");
  else if (file === undefined || others.length > 0) refuseSource(draft, "One picture at a time can be the source.");
  else uploadSource(draft, file);
}

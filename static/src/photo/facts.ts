// How a photo was made and where its file is, as names and values.

import type { Photo, PhotoSource } from "../api/types";
import { baseName, bytes, dateTime } from "../lib/format";
import { backendName } from "../state/backends";

export interface Fact {
  name: string;
  value: string;
  mono?: boolean;
  copy?: boolean;
}

const SOURCES: Record<PhotoSource, string> = {
  generated: "Darkroom's studio",
  mirrored: "InvokeAI",
  uploaded: "Upload",
  imported: "Import",
};

/** Programs other than InvokeAI, whose words are read from what is uploaded. */
const PROGRAMS: Record<string, string> = {
  automatic1111: "AUTOMATIC1111",
  comfyui: "ComfyUI",
  fooocus: "Fooocus",
  novelai: "NovelAI",
};

/** Of an upload that tells its making. `whole` is the photo with all that it tells; null while that is read. */
function programOf(photo: Photo, whole: Photo | null): string | null {
  if (photo.source !== "uploaded" || !photo.is_generated) return null;
  if (whole === null) return "…";
  const told = whole.generation_params?.taken_from;
  return (typeof told === "string" && PROGRAMS[told]) || "InvokeAI";
}

function inWords(value: number | null | undefined): string | null {
  return value == null ? null : String(value);
}

/** One fact, or none where there is nothing to say. */
export function fact(name: string, value: string | null | undefined, options: Partial<Fact> = {}): Fact[] {
  return value ? [{ name, value, ...options }] : [];
}

/** How a photo was made. What has to be read first has its place from the beginning, so that nothing moves. */
export function madeWith(photo: Photo, whole: Photo | null): Fact[] {
  const told = photo.params_summary;
  return [
    ...fact("Model", photo.model_name),
    ...fact("Base model", photo.model_base && baseName(photo.model_base)),
    ...fact("LoRAs", photo.loras?.join(", ")),
    ...fact("Seed", photo.seed === null ? null : String(photo.seed), { mono: true, copy: true }),
    ...fact("Size", `${photo.width} × ${photo.height}`, { mono: true }),
    ...fact("Steps", inWords(told?.steps), { mono: true }),
    ...fact("CFG scale", inWords(told?.cfg_scale), { mono: true }),
    ...fact("Scheduler", told?.scheduler, { mono: true }),
    ...fact("Made with", programOf(photo, whole)),
    ...fact("Server", photo.backend_id && backendName(photo.backend_id)),
  ];
}

/** Where its bytes are and where they came from. */
export function fileFacts(photo: Photo): Fact[] {
  return [
    ...fact("Created", dateTime(photo.created_at)),
    ...fact("Source", SOURCES[photo.source]),
    ...fact("File size", photo.file_size === null ? null : bytes(photo.file_size)),
    ...fact("SHA-256", photo.sha256, { mono: true, copy: true }),
  ];
}

import type { Photo, PhotoSource } from "../api/types";
import { baseName, bytes, dateTime } from "../app/format";
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

function parameter(photo: Photo, name: string): string | null {
  const value = photo.generation_params?.[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}

function fact(name: string, value: string | null | undefined, options: Partial<Fact> = {}): Fact[] {
  return value ? [{ name, value, ...options }] : [];
}

/** How a photo was made, from its own columns and the metadata that InvokeAI keeps. */
export function madeWith(photo: Photo): Fact[] {
  const steps = parameter(photo, "steps");
  const cfg = parameter(photo, "cfg_scale");
  return [
    ...fact("Model", photo.model_name),
    ...fact("Base model", photo.model_base && baseName(photo.model_base)),
    ...fact("LoRAs", photo.loras?.join(", ")),
    ...fact("Seed", photo.seed === null ? null : String(photo.seed), { mono: true, copy: true }),
    ...fact("Size", `${photo.width} × ${photo.height}`, { mono: true }),
    ...fact("Steps", steps, { mono: true }),
    ...fact("CFG scale", cfg, { mono: true }),
    ...fact("Scheduler", parameter(photo, "scheduler"), { mono: true }),
    ...fact("Made with", PROGRAMS[parameter(photo, "taken_from") ?? ""]),
    ...fact("Server", photo.backend_id && backendName(photo.backend_id)),
  ];
}

/** Where its bytes are and where they came from. */
export function fileFacts(photo: Photo): Fact[] {
  return [
    ...fact("Created", dateTime(photo.created_at)),
    ...fact("Source", SOURCES[photo.source]),
    ...fact("File name", photo.filename, { mono: true, copy: true }),
    ...fact("File size", photo.file_size === null ? null : bytes(photo.file_size)),
    ...fact("SHA-256", photo.sha256, { mono: true, copy: true }),
  ];
}

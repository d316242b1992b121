// The filter by a model or LoRA, as it stands in an address.

import type { PhotosOfModel } from "../api/types";

/** What an address says: the photos of one model. */
export function madeWithIn(search: URLSearchParams): PhotosOfModel | null {
  const valuesOf = (name: string) => search.getAll(name).filter((value) => value !== "");
  const [model, lora] = [valuesOf("model"), valuesOf("lora")];
  if (model.length === 0 && lora.length === 0) return null;
  return { model: model.length > 0 ? model : null, lora: lora.length > 0 ? lora : null };
}

export function appendMadeWith(query: URLSearchParams, madeWith: PhotosOfModel | null): void {
  for (const value of madeWith?.model ?? []) query.append("model", value);
  for (const value of madeWith?.lora ?? []) query.append("lora", value);
}

/** The library, with the photos of one model alone. */
export function libraryOf(madeWith: PhotosOfModel): string {
  const query = new URLSearchParams();
  appendMadeWith(query, madeWith);
  return `/?${query}`;
}

// What is known of a model, as names and values.

import type { ModelDetail } from "../api/types";
import { type Fact, fact } from "../photo/facts";

/** What InvokeAI tells of a model. */
export function modelFacts(model: ModelDetail): Fact[] {
  const keys = new Set(model.servers.map(({ key }) => key));
  return [
    ...fact("Trigger phrases", model.trigger_phrases?.join(", "), { copy: true }),
    ...fact("Format", model.format),
    ...fact("Variant", model.variant),
    ...fact("Expert", model.expert),
    ...fact("Latent channels", model.latent_channels === null ? null : String(model.latent_channels), { mono: true }),
    ...fact("Provider", model.provider_id),
    ...fact("Parts", model.submodels ? Object.keys(model.submodels).join(", ") : null),
    ...fact(keys.size > 1 ? "Keys" : "Key", keys.size > 0 ? [...keys].join(", ") : model.key, { mono: true, copy: true }),
    ...fact("Hash", model.hash, { mono: true, copy: true }),
  ];
}

const NAMES: Record<string, string> = {
  cfg_scale: "CFG scale",
  cfg_rescale_multiplier: "CFG rescale",
  vae: "VAE",
  vae_precision: "VAE precision",
  fp8_storage: "FP8 storage",
  cpu_only: "CPU only",
};

/** The numbers that a model brings along. */
export function defaultFacts({ default_settings: settings }: ModelDetail): Fact[] {
  return Object.entries(settings ?? {}).flatMap(([name, value]) => {
    const words = typeof value === "boolean" ? (value ? "yes" : "no") : value;
    if (typeof words !== "string" && typeof words !== "number") return [];
    const title = NAMES[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
    return fact(title, String(words), { mono: typeof value === "number" });
  });
}

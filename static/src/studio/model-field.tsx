import { useState } from "preact/hooks";
import type { Model } from "../api/types";
import { baseName } from "../app/format";
import { toast, toastFailure } from "../app/toasts";
import { IconButton } from "../shell/icon";
import { RefreshCw } from "../shell/icons";
import { backendName, backends } from "../state/backends";
import { models, modelsError, refreshModels } from "../state/models";
import { findModel, modelId } from "./draft";

/** The bases that Darkroom builds graphs for. */
const BASES = new Set(["sd-1", "sd-2", "sdxl"]);

export function canGenerate(model: Model): boolean {
  return BASES.has(model.base);
}

interface ModelFieldProps {
  chosen: Model | undefined;
  /** The id of what says why there must be another choice. */
  flaw?: string | undefined;
  onChoose: (model: Model) => void;
}

/** Models by base, and by server where there are several. */
export function ModelField({ chosen, flaw, onChoose }: ModelFieldProps) {
  const all = models.value ?? [];
  const several = backends.value.length > 1;
  const groups = Map.groupBy(all, (model) => `${baseName(model.base)}${several ? ` · ${backendName(model.backend_id)}` : ""}`);
  return (
    <div class="field">
      <label class="label" for="compose-model">
        Model
      </label>
      <div class="with-button">
        <select
          id="compose-model"
          name="model"
          class="input"
          aria-invalid={flaw !== undefined}
          aria-describedby={flaw}
          value={chosen ? modelId(chosen) : ""}
          onChange={(event) => {
            const model = findModel(all, event.currentTarget.value);
            if (model) onChoose(model);
          }}
        >
          {!chosen && <option value="">{noModelWords(models.value, modelsError.value)}</option>}
          {[...groups].sort(byUse).map(([name, group]) => (
            <optgroup key={name} label={canGenerate(group[0]!) ? name : `${name} (not yet supported)`}>
              {group.map((model) => (
                <option key={modelId(model)} value={modelId(model)} disabled={!canGenerate(model)}>
                  {model.name}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
        {chosen && <span class="tag base">{baseName(chosen.base)}</span>}
        <RefreshModels />
      </div>
    </div>
  );
}

type Group = [string, Model[]];

function byUse([nameA, [a]]: Group, [nameB, [b]]: Group): number {
  return Number(canGenerate(b!)) - Number(canGenerate(a!)) || nameA.localeCompare(nameB);
}

function noModelWords(known: readonly Model[] | null, error: string | null): string {
  if (error !== null) return "The models cannot be read";
  if (known === null) return "Reading the models…";
  return known.length ? "Choose a model" : "No server has a model yet";
}

function RefreshModels() {
  const [busy, setBusy] = useState(false);
  const refresh = async () => {
    setBusy(true);
    try {
      for (const reason of await refreshModels()) toast(reason, { tone: "bad" });
    } catch (failure) {
      toastFailure("The models were not read again.", failure);
    }
    setBusy(false);
  };
  return <IconButton icon={RefreshCw} label="Refresh models" disabled={busy} onClick={() => void refresh()} />;
}

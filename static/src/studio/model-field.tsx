import { useState } from "preact/hooks";
import type { Model } from "../api/types";
import { IconButton } from "../components/icon";
import { RefreshCw } from "../components/icons";
import { baseName, hourly } from "../lib/format";
import { toast, toastFailure } from "../lib/toasts";
import { backendName, backends } from "../state/backends";
import { models, modelsError, refreshModels } from "../state/models";
import { isAtRest, podWord } from "../state/pods";
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
  const groups = Map.groupBy(all, (model) => `${baseName(model.base)}${serverWords(model.backend_id, several)}`);
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

/** Which server has it, where there are several; of a pod how it stands and what it costs. */
function serverWords(backendId: string, several: boolean): string {
  const server = backends.value.find((one) => one.id === backendId);
  const state = server && podWord(server);
  const price = server?.pod?.cost_per_hour;
  const words = [state, price && hourly(price)].filter(Boolean).join(", ");
  if (words) return ` · ${server!.name} (${words})`;
  return several ? ` · ${backendName(backendId)}` : "";
}

type Group = [string, Model[]];

function byUse([nameA, [a]]: Group, [nameB, [b]]: Group): number {
  return Number(canGenerate(b!)) - Number(canGenerate(a!)) || nameA.localeCompare(nameB);
}

function noModelWords(known: readonly Model[] | null, error: string | null): string {
  if (error !== null) return "The models cannot be read";
  if (known === null) return "Reading the models…";
  if (known.length) return "Choose a model";
  const pod = backends.value.find((server) => server.enabled && isAtRest(server));
  return pod ? `Start ${pod.name} once: its models are not known yet` : "No server has a model yet";
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

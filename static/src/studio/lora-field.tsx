import type { Signal } from "@preact/signals";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Model } from "../api/types";
import { Icon, IconButton } from "../components/icon";
import { Plus, X } from "../components/icons";
import { baseName } from "../lib/format";
import { loras } from "../state/models";
import type { Draft } from "./draft";
import {
  type ChosenLora,
  chosenLora,
  fitOf,
  HEAVIEST,
  hasPhrase,
  loraName,
  lorasFor,
  MOST_LORAS,
  searchLoras,
  withPhrase,
} from "./loras";
import { SliderField } from "./slider-field";

interface LoraFieldProps {
  draft: Signal<Draft>;
  model: Model | undefined;
}

/** The LoRAs of the next step: those that are chosen with their weights, and a search for more. */
export function LoraField({ draft, model }: LoraFieldProps) {
  const label = useId();
  const place = useRef<HTMLDivElement>(null);
  const { loras: chosen } = draft.value;
  const offered = model ? lorasFor(model, loras.value) : [];
  if (chosen.length === 0 && !model) return null;
  const change = (next: readonly ChosenLora[]) => (draft.value = { ...draft.peek(), loras: next });
  const remove = (at: number) => {
    change(chosen.filter((_, index) => index !== at));
    // The focus stays near: in the search, which is always there where there is something to add.
    place.current?.querySelector<HTMLElement>("[role=combobox]")?.focus();
  };
  return (
    <div class="field lora-field" role="group" aria-labelledby={label} data-testid="compose-loras" ref={place}>
      <span class="label" id={label}>
        LoRAs
      </span>
      {chosen.length > 0 && (
        <ul aria-label="Chosen LoRAs">
          {chosen.map((one, at) => (
            <Chosen
              key={one.key ?? one.name ?? one.hash}
              draft={draft}
              chosen={one}
              model={model}
              onWeight={(weight) => change(chosen.map((other, index) => (index === at ? { ...other, weight } : other)))}
              onRemove={() => remove(at)}
            />
          ))}
        </ul>
      )}
      {model && offered.length === 0 && (
        <p class="small muted">{`The server of this model has no LoRA for ${baseName(model.base)}.`}</p>
      )}
      {offered.length > 0 && chosen.length < MOST_LORAS && (
        <LoraSearch among={offered} chosen={chosen} onAdd={(lora) => change([...chosen, chosenLora(lora)])} />
      )}
      {chosen.length >= MOST_LORAS && <p class="small muted">{`A step has ${MOST_LORAS} LoRAs at most.`}</p>}
    </div>
  );
}

interface ChosenProps {
  draft: Signal<Draft>;
  chosen: ChosenLora;
  model: Model | undefined;
  onWeight: (weight: number) => void;
  onRemove: () => void;
}

function Chosen({ draft, chosen, model, onWeight, onRemove }: ChosenProps) {
  const fit = model ? fitOf(chosen, model, loras.value) : null;
  const name = fit?.lora?.name ?? loraName(chosen, loras.value);
  const { prompt } = draft.value;
  const phrases = [...new Set(fit?.lora?.trigger_phrases?.filter((phrase) => phrase.trim() !== ""))];
  return (
    <li class="lora" data-testid="lora" data-fits={fit?.why == null}>
      <div class="lora-name">
        <span class="ellipsis" title={name}>
          {name}
        </span>
        <IconButton icon={X} label={`Remove ${name}`} onClick={onRemove} />
      </div>
      {fit?.why != null ? (
        <p class="small warn">{fit.why}</p>
      ) : (
        <SliderField
          label={`Weight of ${name}`}
          name="lora-weight"
          value={chosen.weight}
          step={0.05}
          from={-1}
          to={2}
          min={-HEAVIEST}
          max={HEAVIEST}
          onChange={onWeight}
        />
      )}
      {phrases.length > 0 && (
        <div class="lora-phrases" role="group" aria-label={`Trigger phrases of ${name}`}>
          {phrases.map((phrase) => {
            const isThere = hasPhrase(prompt, phrase);
            return (
              <button
                key={phrase}
                type="button"
                aria-disabled={isThere}
                aria-label={isThere ? `${phrase}, in the prompt` : `Add ${phrase} to the prompt`}
                title={isThere ? "In the prompt" : "Add to the prompt"}
                onClick={() => {
                  if (!isThere) draft.value = { ...draft.peek(), prompt: withPhrase(draft.peek().prompt, phrase) };
                }}
              >
                {!isThere && <Icon of={Plus} />}
                <span class="ellipsis">{phrase}</span>
              </button>
            );
          })}
        </div>
      )}
    </li>
  );
}

interface LoraSearchProps {
  among: readonly Model[];
  chosen: readonly ChosenLora[];
  onAdd: (lora: Model) => void;
}

/** Finds LoRAs by what is typed; Enter adds the one that the arrow keys stand on. */
function LoraSearch({ among, chosen, onAdd }: LoraSearchProps) {
  const list = useId();
  const [words, type] = useState("");
  const [isOpen, open] = useState(false);
  const [at, setAt] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const found = searchLoras(words, among, chosen);
  const shown = isOpen ? found : [];
  useEffect(() => {
    if (isOpen) document.getElementById(list)?.scrollIntoView({ block: "nearest" });
  }, [isOpen]);
  const add = (lora: Model) => {
    type("");
    setAt(-1);
    open(false);
    onAdd(lora);
  };
  const move = (by: number) => {
    open(true);
    const next = isOpen ? ((at + 1 + by + found.length + 1) % (found.length + 1)) - 1 : 0;
    setAt(next);
    document.getElementById(`${list}-${next}`)?.scrollIntoView({ block: "nearest" });
  };
  return (
    <div class="tag-input lora-search">
      <input
        ref={input}
        class="input"
        type="text"
        role="combobox"
        aria-label="Add a LoRA"
        aria-expanded={shown.length > 0}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={shown[at] && `${list}-${at}`}
        placeholder="Add a LoRA"
        autocomplete="off"
        autocapitalize="none"
        value={words}
        onClick={() => open(true)}
        onInput={(event) => {
          type(event.currentTarget.value);
          setAt(event.currentTarget.value.trim() === "" ? -1 : 0);
          open(true);
        }}
        onBlur={() => open(false)}
        onKeyDown={(event) => {
          if (event.isComposing || event.ctrlKey || event.metaKey) return;
          const lora = shown[at];
          if (event.key === "Enter") lora && add(lora);
          else if (event.key === "ArrowDown") move(1);
          else if (event.key === "ArrowUp") move(-1);
          else if (event.key === "Escape" && isOpen) open(false);
          else return;
          event.preventDefault();
          event.stopPropagation();
        }}
      />
      <div id={list} class="offered" role="listbox" aria-label="LoRAs" hidden={shown.length === 0}>
        {shown.map((lora, index) => (
          <button
            key={lora.key}
            id={`${list}-${index}`}
            type="button"
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            title={lora.description ?? undefined}
            // The field keeps the focus.
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => {
              add(lora);
              input.current!.focus();
            }}
          >
            {lora.name}
          </button>
        ))}
      </div>
      {isOpen && found.length === 0 && words.trim() !== "" && (
        <p class="small muted" role="status">
          No LoRA of this model is called that.
        </p>
      )}
    </div>
  );
}

import { useState } from "preact/hooks";
import { SCHEDULERS } from "./schedulers";

interface NumberInputProps {
  label: string;
  name: string;
  value: number | null;
  min: number;
  max: number;
  step?: number;
  /** What an empty box means. */
  empty?: string;
  /** The id of what says why the number cannot be taken. */
  flaw?: string | undefined;
  onChange: (value: number | null) => void;
}

/** What is being typed stays while other things change on the page, and counts when the box is left. */
export function NumberInput({ label, name, value, min, max, step = 1, empty, flaw, onChange }: NumberInputProps) {
  const [typed, setTyped] = useState<string | null>(null);
  return (
    <input
      class="input mono"
      type="number"
      inputMode={step < 1 ? "decimal" : "numeric"}
      name={name}
      aria-label={label}
      min={min}
      max={max}
      step={step}
      placeholder={empty}
      aria-invalid={flaw !== undefined}
      aria-describedby={flaw}
      value={typed ?? value ?? ""}
      onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={() => setTyped(null)}
      onChange={(event) => {
        setTyped(null);
        onChange(settle(event.currentTarget.valueAsNumber, min, max, step));
      }}
    />
  );
}

/** Into the range, and onto the grid of multiples where there is one. */
function settle(value: number, min: number, max: number, step: number): number | null {
  if (Number.isNaN(value)) return null;
  const within = Math.min(max, Math.max(min, value));
  return step > 1 ? Math.round(within / step) * step : within;
}

export function NumberField(props: NumberInputProps) {
  return (
    <label class="field">
      <span class="label">{props.label}</span>
      <NumberInput {...props} />
    </label>
  );
}

export function SchedulerField({ value, onChange }: { value: string | null; onChange: (value: string | null) => void }) {
  return (
    <label class="field">
      <span class="label">Scheduler</span>
      <select class="input" name="scheduler" value={value ?? ""} onChange={(event) => onChange(event.currentTarget.value || null)}>
        <option value="">model's own</option>
        {SCHEDULERS.map(([id, name]) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

const SEEDS = 2 ** 32;

interface SeedProps {
  value: number | null;
  /** The chosen step's, to begin with when a seed is fixed. */
  known: number | null;
  onChange: (value: number | null) => void;
}

export function SeedField({ value, known, onChange }: SeedProps) {
  return (
    <div class="field">
      <span class="label">Seed</span>
      <div class="pair seed">
        <div class="segments" role="group" aria-label="Seed">
          <button type="button" aria-pressed={value === null} onClick={() => onChange(null)}>
            Random
          </button>
          <button
            type="button"
            aria-pressed={value !== null}
            onClick={() => onChange(value ?? known ?? Math.floor(Math.random() * SEEDS))}
          >
            Fixed
          </button>
        </div>
        {value !== null && (
          <NumberInput label="Seed" name="seed" value={value} min={0} max={SEEDS - 1} onChange={(seed) => onChange(seed ?? 0)} />
        )}
      </div>
    </div>
  );
}

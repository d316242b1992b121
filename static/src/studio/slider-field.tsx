import { NumberInput } from "./parameter-fields";

interface SliderFieldProps {
  label: string;
  name: string;
  value: number;
  step: number;
  /** Ends of the slider. */
  from: number;
  to: number;
  /** Of the number: what may be typed beyond the slider's ends. */
  min?: number;
  max?: number;
  /** What the ends mean. */
  ends?: readonly [string, string];
  flaw?: string | undefined;
  onChange: (value: number) => void;
}

/** A slider, and the number that it stands for. */
export function SliderField({ label, name, value, step, from, to, min = from, max = to, ends, flaw, onChange }: SliderFieldProps) {
  const words = ends && `${value}, from ${ends[0]} to ${ends[1]}`;
  return (
    <div class="slider">
      <input
        type="range"
        aria-label={`${label}, slider`}
        aria-valuetext={words}
        min={from}
        max={to}
        step={step}
        value={value}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
      <NumberInput
        label={label}
        name={name}
        value={value}
        min={min}
        max={max}
        step={step}
        flaw={flaw}
        onChange={(next) => onChange(next ?? value)}
      />
      {ends && (
        <span class="slider-ends small muted" aria-hidden="true">
          <span>{ends[0]}</span>
          <span>{ends[1]}</span>
        </span>
      )}
    </div>
  );
}

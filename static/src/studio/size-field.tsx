import { NumberInput } from "./parameter-fields";
import { shapesOf } from "./shapes";

interface SizeFieldProps {
  width: number;
  height: number;
  base: string | undefined;
  onChange: (size: { width?: number; height?: number }) => void;
}

const GLYPH = 16;

export function SizeField({ width, height, base, onChange }: SizeFieldProps) {
  return (
    <div class="field">
      <span class="label">Size</span>
      <div class="size">
        <div class="shapes" role="group" aria-label="Shape">
          {shapesOf(base).map(([name, across, down]) => {
            const scale = GLYPH / Math.max(across, down);
            return (
              <button
                key={name}
                type="button"
                aria-label={name}
                title={`${name}, ${across} × ${down}`}
                aria-pressed={across === width && down === height}
                onClick={() => onChange({ width: across, height: down })}
              >
                <i style={{ width: `${across * scale}px`, height: `${down * scale}px` }} />
              </button>
            );
          })}
        </div>
        <NumberInput
          label="Width"
          name="width"
          value={width}
          min={64}
          max={4096}
          step={8}
          onChange={(next) => onChange({ width: next ?? width })}
        />
        <span class="muted" aria-hidden="true">
          ×
        </span>
        <NumberInput
          label="Height"
          name="height"
          value={height}
          min={64}
          max={4096}
          step={8}
          onChange={(next) => onChange({ height: next ?? height })}
        />
      </div>
    </div>
  );
}

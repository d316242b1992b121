import { nativeSide } from "./draft";
import { NumberInput } from "./parameter-fields";

interface SizeFieldProps {
  width: number;
  height: number;
  base: string | undefined;
  onChange: (size: { width?: number; height?: number }) => void;
}

/** Shapes at about the area that a base was trained on, by the side of its square. */
const SHAPES: Record<number, readonly [name: string, width: number, height: number][]> = {
  512: [
    ["Square", 512, 512],
    ["Portrait", 512, 768],
    ["Landscape", 768, 512],
    ["Tall", 432, 768],
    ["Wide", 768, 432],
  ],
  768: [
    ["Square", 768, 768],
    ["Portrait", 640, 960],
    ["Landscape", 960, 640],
    ["Tall", 576, 1024],
    ["Wide", 1024, 576],
  ],
  1024: [
    ["Square", 1024, 1024],
    ["Portrait", 832, 1216],
    ["Landscape", 1216, 832],
    ["Tall", 768, 1344],
    ["Wide", 1344, 768],
  ],
};

const GLYPH = 16;

export function SizeField({ width, height, base, onChange }: SizeFieldProps) {
  return (
    <div class="field">
      <span class="label">Size</span>
      <div class="size">
        <div class="shapes" role="group" aria-label="Shape">
          {SHAPES[nativeSide(base)]!.map(([name, across, down]) => {
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

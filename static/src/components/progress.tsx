/** A bar that grows; sweeping while its portion is not known. */
export function ProgressBar({ portion, label }: { portion: number | null; label: string }) {
  const known = portion !== null;
  return (
    <div
      class={`bar ${known ? "" : "unknown"}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={known ? Math.round(portion * 100) : undefined}
    >
      <i style={known ? { transform: `scaleX(${portion})` } : undefined} />
    </div>
  );
}

const RADIUS = 10;
const AROUND = 2 * Math.PI * RADIUS;

/** A thin ring of progress; turning while its portion is not known. */
export function Ring({ portion }: { portion: number | null }) {
  const known = portion !== null;
  return (
    <svg class={`ring ${known ? "" : "unknown"}`} viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="12" cy="12" r={RADIUS} />
      <circle cx="12" cy="12" r={RADIUS} stroke-dasharray={AROUND} stroke-dashoffset={AROUND * (1 - (portion ?? 0.25))} />
    </svg>
  );
}

const RADIUS = 10;
const AROUND = 2 * Math.PI * RADIUS;

/** A thin ring of progress; turning while nobody knows how far it is. */
export function Ring({ portion }: { portion: number | null }) {
  const known = portion !== null;
  return (
    <svg class={`ring ${known ? "" : "unknown"}`} viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="12" cy="12" r={RADIUS} />
      <circle cx="12" cy="12" r={RADIUS} stroke-dasharray={AROUND} stroke-dashoffset={AROUND * (1 - (portion ?? 0.25))} />
    </svg>
  );
}

/** A bar that grows; sweeping while nobody knows how far it is. */
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

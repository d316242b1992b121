import { troubles } from "./health";

/** Says what keeps Darkroom from bringing pictures home. */
export function HealthNote() {
  if (troubles.value.length === 0) return null;
  return (
    <div class="lost-note health-note" role="alert" data-testid="health-note">
      {troubles.value.map((trouble) => (
        <p key={trouble.code} data-code={trouble.code}>
          <span class="dot bad" />
          <span>{trouble.words}</span>
        </p>
      ))}
    </div>
  );
}

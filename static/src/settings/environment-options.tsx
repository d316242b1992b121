import type { EnvironmentOption } from "../api/types";
import { environment } from "../state/settings";

/** What was decided when Darkroom was started, by the name of its variable. */
export function EnvironmentOptions() {
  if (environment.value.length === 0) return null;
  const set = environment.value.filter((option) => option.is_set).length;
  return (
    <section class="card" data-testid="environment">
      <h2>Environment</h2>
      <p class="small muted">
        Read from environment variables when Darkroom starts. To change one, set it there and start Darkroom again.
      </p>
      <details>
        <summary class="muted">
          {environment.value.length} variables, {set} set
        </summary>
        <dl class="environment">
          {environment.value.map((option) => (
            <div key={option.name} data-option={option.name}>
              <dt class="mono">{option.name}</dt>
              <dd class="small muted">{option.help}</dd>
              <dd class={option.is_set ? "" : "muted"}>{shown(option)}</dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}

function shown({ is_set, value, default: fallback }: EnvironmentOption): string {
  if (!is_set) return `Default: ${fallback}`;
  return value ?? "Set; it is not shown";
}

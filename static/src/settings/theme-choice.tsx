import { type Theme, theme } from "../app/preferences";

const THEMES: { value: Theme; name: string }[] = [
  { value: "system", name: "As the system" },
  { value: "dark", name: "Dark" },
  { value: "light", name: "Light" },
];

export function ThemeChoice() {
  return (
    <div class="setting">
      <div>
        <p>Theme</p>
        <p class="small muted">On this browser only.</p>
      </div>
      <div class="segments" role="group" aria-label="Theme">
        {THEMES.map(({ value, name }) => (
          <button key={value} type="button" aria-pressed={theme.value === value} onClick={() => (theme.value = value)}>
            {name}
          </button>
        ))}
      </div>
    </div>
  );
}

import { useEffect } from "preact/hooks";
import { describedSettings, loadSettings, settingsError } from "../state/settings";
import { NumberSetting } from "./number-setting";
import { SwitchSetting } from "./switch-setting";

/** What the owner changes while Darkroom runs, as the service describes it. Each is saved as it is changed. */
export function SettingsForm() {
  useEffect(() => void loadSettings(), []);
  const known = describedSettings.value;
  const error = settingsError.value;
  return (
    <section class="card" data-testid="settings">
      <h2>Library</h2>
      {known === null && error === null && <p class="muted">Reading the settings…</p>}
      {error !== null && (
        <p class="settings-error bad" role="alert">
          <span>{error}</span>
          <button type="button" class="button compact" onClick={() => void loadSettings()}>
            Try again
          </button>
        </p>
      )}
      {known?.map((setting) =>
        setting.type === "boolean" ? (
          <SwitchSetting key={setting.name} setting={setting} />
        ) : (
          <NumberSetting key={setting.name} setting={setting} />
        ),
      )}
    </section>
  );
}

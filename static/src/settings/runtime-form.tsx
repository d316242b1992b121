import { useEffect, useState } from "preact/hooks";
import { reasonOf } from "../api/client";
import { loadSettings, saveSetting, settings, settingsError, type SettingValue } from "../state/settings";

/** Words for the settings that the page knows; another one shows under its own name. */
const WORDS: Record<string, { name: string; meaning: string; unit?: string }> = {
  retrieval_max_attempts: { name: "Tries per photo", meaning: "How often bringing a photo home is tried before it needs a look.", unit: "tries" },
  thumbnail_quality: { name: "Thumbnail quality", meaning: "WebP quality of new thumbnails. Originals are never changed.", unit: "of 100" },
  trash_days: { name: "Trash is kept for", meaning: "Older photos in the trash are deleted for good.", unit: "days" },
};

/** What the owner changes while Darkroom runs. Each is saved as it is changed. */
export function RuntimeForm() {
  useEffect(() => void loadSettings(), []);
  return (
    <section class="card" data-testid="settings">
      <h2>Library</h2>
      {settings.value === null && settingsError.value === null && <p class="muted">Reading the settings…</p>}
      {settings.value === null && settingsError.value !== null && (
        <p class="bad">
          {settingsError.value}{" "}
          <button type="button" class="button compact" onClick={() => void loadSettings()}>
            Try again
          </button>
        </p>
      )}
      {Object.entries(settings.value ?? {}).map(([name, value]) => (
        <Setting key={name} name={name} value={value} />
      ))}
    </section>
  );
}

function titleOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function Setting({ name, value }: { name: string; value: SettingValue }) {
  const [state, setState] = useState<{ saved: boolean; wrong: string | null }>({ saved: false, wrong: null });
  const { name: title = titleOf(name), meaning, unit } = WORDS[name] ?? {};
  const save = async (next: SettingValue) => {
    try {
      await saveSetting(name, next);
      setState({ saved: true, wrong: null });
    } catch (failure) {
      setState({ saved: false, wrong: reasonOf(failure) });
    }
  };
  return (
    <label class="setting">
      <div>
        <p>{title}</p>
        {meaning && <p class="small muted">{meaning}</p>}
        {state.wrong !== null && (
          <p class="small bad" role="alert">
            {state.wrong}
          </p>
        )}
      </div>
      <span class="setting-value">
        {state.saved && (
          <span class="small ok" role="status">
            Saved
          </span>
        )}
        <Value name={name} value={value} onSave={(next) => void save(next)} />
        {unit && <span class="small muted unit">{unit}</span>}
      </span>
    </label>
  );
}

function Value({ name, value, onSave }: { name: string; value: SettingValue; onSave: (next: SettingValue) => void }) {
  if (typeof value === "boolean") {
    return (
      <input class="switch" type="checkbox" role="switch" name={name} checked={value} onChange={(event) => onSave(event.currentTarget.checked)} />
    );
  }
  if (typeof value === "number") {
    return (
      <input
        class="input mono"
        type="number"
        name={name}
        value={value}
        onChange={(event) => {
          if (!Number.isNaN(event.currentTarget.valueAsNumber)) onSave(event.currentTarget.valueAsNumber);
        }}
      />
    );
  }
  return <input class="input" type="text" name={name} value={value ?? ""} onChange={(event) => onSave(event.currentTarget.value || null)} />;
}

import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { reasonOf } from "../api/client";
import type { RuntimeSettings } from "../api/types";
import { loadSettings, saveSetting, settings, settingsError } from "../state/settings";
import { LargeRenditionsSetting } from "./large-renditions";

interface Words {
  name: string;
  meaning: string;
  unit: string;
  min: number;
  max: number;
  /** Not only whole numbers. */
  fractions?: boolean;
}

type NumberSetting = Exclude<keyof RuntimeSettings, "large_renditions">;

const SETTINGS: Record<NumberSetting, Words> = {
  retrieval_max_attempts: {
    name: "Tries per photo",
    meaning: "How often bringing a photo home is tried before Darkroom gives up.",
    unit: "tries",
    min: 1,
    max: 100,
  },
  thumbnail_quality: {
    name: "Thumbnail quality",
    meaning: "WebP quality of new thumbnails. Originals are never changed.",
    unit: "of 100",
    min: 1,
    max: 100,
  },
  trash_days: {
    name: "Trash is kept for",
    meaning: "Older photos in the trash are deleted for good; 0 keeps them until you empty it.",
    unit: "days",
    min: 0,
    max: 36_500,
  },
  patrol_days: {
    name: "Files are checked within",
    meaning: "Every original is read once in that time. A damaged or missing one is fetched again from its server.",
    unit: "days",
    min: 0.0005,
    max: 36_500,
    fractions: true,
  },
};

const CALM: { saved: boolean; wrong: string | null } = { saved: false, wrong: null };

/** What the owner changes while Darkroom runs. Each is saved as it is changed. */
export function RuntimeForm() {
  useEffect(() => void loadSettings(), []);
  const known = settings.value;
  return (
    <section class="card" data-testid="settings">
      <h2>Library</h2>
      {known === null && settingsError.value === null && <p class="muted">Reading the settings…</p>}
      {known === null && settingsError.value !== null && (
        <p class="bad">
          {settingsError.value}{" "}
          <button type="button" class="button compact" onClick={() => void loadSettings()}>
            Try again
          </button>
        </p>
      )}
      {known !== null &&
        (Object.keys(SETTINGS) as NumberSetting[]).map((name) => <Setting key={name} name={name} value={known[name]} />)}
      {known !== null && <LargeRenditionsSetting value={known.large_renditions ?? true} />}
    </section>
  );
}

/** What is being typed stands, whatever else is saved meanwhile, and stays to be mended when it is refused. */
function Setting({ name, value }: { name: NumberSetting; value: number | undefined }) {
  const typed = useSignal<string | null>(null);
  const [state, setState] = useState(CALM);
  const words = SETTINGS[name];
  const save = async (text: string) => {
    const wrong = await saveSetting(name, Number(text)).then(() => null, reasonOf);
    if (typed.peek() !== text) return;
    if (wrong === null) typed.value = null;
    setState({ saved: wrong === null, wrong });
  };
  return (
    <label class="setting">
      <div>
        <p>{words.name}</p>
        <p class="small muted">{words.meaning}</p>
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
        <input
          class="input mono"
          type="number"
          name={name}
          value={typed.value ?? value}
          min={words.min}
          max={words.max}
          step={words.fractions ? "any" : 1}
          aria-invalid={state.wrong !== null}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
            setState(CALM);
          }}
          onChange={({ currentTarget: box }) => {
            if (box.validity.valid && box.value !== "") void save(box.value);
            else setState({ saved: false, wrong: `A ${words.fractions ? "" : "whole "}number from ${words.min} to ${words.max}.` });
          }}
        />
        <span class="small muted unit">{words.unit}</span>
      </span>
    </label>
  );
}

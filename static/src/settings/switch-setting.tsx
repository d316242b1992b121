import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import type { Setting } from "../api/types";
import { reasonOf } from "../lib/format";
import { saveSetting } from "../state/settings";
import { DiskUse } from "./disk-use";
import { describedBy, SettingFrame } from "./setting-frame";

/** What is measured of a setting, beside what it says of itself. */
const MEASURED: Record<string, (value: boolean) => ComponentChildren> = {
  large_renditions: (kept) => <DiskUse kept={kept} />,
};

/** On or off; saved as it is pressed. */
export function SwitchSetting({ setting }: { setting: Setting }) {
  const id = useId();
  const [asked, setAsked] = useState<boolean | null>(null);
  const [outcome, setOutcome] = useState<{ saved: boolean; wrong: string | null }>({ saved: false, wrong: null });
  const value = setting.value === true;
  const save = async (to: boolean) => {
    setAsked(to);
    setOutcome({ saved: false, wrong: null });
    const wrong = await saveSetting(setting.name, to).then(() => null, reasonOf);
    setAsked(null);
    setOutcome({ saved: wrong === null, wrong });
  };
  const { saved, wrong } = outcome;
  return (
    <SettingFrame
      setting={setting}
      id={id}
      hint={MEASURED[setting.name]?.(value)}
      saved={saved}
      wrong={wrong === null ? null : { words: wrong, retry: () => void save(!value) }}
      onDefault={() => void save(setting.default === true)}
    >
      <input
        id={id}
        class="switch"
        type="checkbox"
        role="switch"
        name={setting.name}
        checked={asked ?? value}
        aria-checked={asked ?? value}
        aria-describedby={describedBy(id, wrong !== null)}
        onChange={(event) => void save(event.currentTarget.checked)}
      />
      <span class="small muted unit">{(asked ?? value) ? "On" : "Off"}</span>
    </SettingFrame>
  );
}

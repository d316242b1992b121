import { useSignal } from "@preact/signals";
import { useId, useRef, useState } from "preact/hooks";
import type { Setting } from "../api/types";
import { reasonOf } from "../lib/format";
import { saveSetting } from "../state/settings";
import { boundsWords, numberOf } from "./bounds";
import { describedBy, SettingFrame } from "./setting-frame";

interface Outcome {
  saved: boolean;
  wrong: { words: string; retry: (() => void) | null } | null;
}

const CALM: Outcome = { saved: false, wrong: null };

/** What is being typed stays while other values are saved, and stays to be corrected when it is refused. */
export function NumberSetting({ setting }: { setting: Setting }) {
  const id = useId();
  const typed = useSignal<string | null>(null);
  const [outcome, setOutcome] = useState(CALM);
  /** The value that stood there when typing began. */
  const began = useRef(setting.value);
  const saving = useRef<string | null>(null);
  /** What was saved here last was not set elsewhere. */
  const sent = useRef<number | null>(null);
  const bounds = boundsWords(setting);

  const save = async (text: string) => {
    const number = numberOf(text, setting);
    if (number === null) return setOutcome({ saved: false, wrong: { words: bounds, retry: null } });
    if (saving.current === text) return;
    saving.current = text;
    sent.current = number;
    const words = await saveSetting(setting.name, number).then(() => null, reasonOf);
    if (saving.current === text) saving.current = null;
    if ((typed.peek() ?? text) !== text) return;
    if (words === null) typed.value = null;
    setOutcome({ saved: words === null, wrong: words === null ? null : { words, retry: () => void save(text) } });
  };
  const type = (text: string) => {
    if (typed.peek() === null) began.current = setting.value;
    typed.value = text;
    setOutcome(CALM);
  };
  const leaveAsItIs = () => {
    typed.value = null;
    setOutcome(CALM);
  };
  const { wrong } = outcome;
  const elsewhere =
    typed.value !== null &&
    setting.value !== began.current &&
    setting.value !== sent.current &&
    typed.value !== String(setting.value)
      ? `Meanwhile it was set to ${setting.value}.`
      : null;
  return (
    <SettingFrame
      setting={setting}
      id={id}
      hint={bounds}
      elsewhere={elsewhere}
      {...outcome}
      onDefault={() => {
        type(String(setting.default));
        void save(String(setting.default));
      }}
    >
      <input
        id={id}
        class="input mono"
        type="number"
        name={setting.name}
        value={typed.value ?? String(setting.value)}
        min={setting.minimum ?? undefined}
        max={setting.maximum ?? undefined}
        step={setting.type === "integer" ? 1 : "any"}
        aria-invalid={wrong !== null}
        aria-describedby={describedBy(id, wrong !== null)}
        onInput={(event) => type(event.currentTarget.value)}
        onChange={({ currentTarget: box }) => void save(box.validity.badInput ? "" : box.value)}
        onBlur={() => {
          if (typed.peek() === String(setting.value) && saving.current === null) leaveAsItIs();
        }}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || typed.peek() === null) return;
          event.currentTarget.value = String(setting.value);
          leaveAsItIs();
        }}
      />
      <span class="small muted unit">{setting.unit}</span>
    </SettingFrame>
  );
}

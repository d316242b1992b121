import type { ComponentChildren } from "preact";
import type { Setting } from "../api/types";
import { IconButton } from "../components/icon";
import { RotateCcw } from "../components/icons";
import { defaultWords } from "./bounds";

interface SettingFrameProps {
  setting: Setting;
  /** Of its field, by which its words and this are told together. */
  id: string;
  /** What is said below its help; it is read with the field. */
  hint?: ComponentChildren;
  /** It was set elsewhere, while something else is typed here. */
  elsewhere?: string | null;
  saved: boolean;
  wrong: { words: string; retry: (() => void) | null } | null;
  onDefault: () => void;
  children: ComponentChildren;
}

/** The words of a setting, its field, what came of saving it, and the way back to its default. */
export function SettingFrame({ setting, id, hint, elsewhere, saved, wrong, onDefault, children }: SettingFrameProps) {
  const isDefault = setting.value === setting.default;
  return (
    <div class="setting" data-setting={setting.name}>
      <div>
        <label for={id}>{setting.title}</label>
        <p class="small muted" id={`${id}-help`}>
          {setting.help}
          {hint && <> {hint}</>}
        </p>
        {elsewhere && (
          <p class="small warn" role="status">
            {elsewhere}
          </p>
        )}
        {wrong !== null && (
          <p class="small bad setting-wrong" role="alert" id={`${id}-wrong`}>
            <span>{wrong.words}</span>
            {wrong.retry && (
              <button type="button" class="button compact" onClick={wrong.retry}>
                Try again
              </button>
            )}
          </p>
        )}
      </div>
      <span class="setting-value">
        <span class="small ok setting-saved" role="status">
          {saved ? "Saved" : ""}
        </span>
        {children}
        <IconButton
          icon={RotateCcw}
          label={`${setting.title}: back to the default, ${defaultWords(setting)}`}
          class={isDefault ? "unneeded" : ""}
          onClick={() => {
            onDefault();
            document.getElementById(id)?.focus();
          }}
        />
      </span>
    </div>
  );
}

/** The ids by which a field is described. */
export function describedBy(id: string, isWrong: boolean): string {
  return isWrong ? `${id}-help ${id}-wrong` : `${id}-help`;
}

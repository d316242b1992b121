import { useEffect, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { hasSignedIn, signOut } from "../api/sign-in";
import { Icon } from "../components/icon";
import { Boxes, ChevronRight, Keyboard, Trash2 } from "../components/icons";
import { KeysDialog } from "../components/keys-dialog";
import { TopBar } from "../components/top-bar";
import { useTitle } from "../lib/navigation";
import { type Theme, theme } from "../lib/preferences";
import { isPhone } from "../lib/responsive";
import { toastFailure } from "../lib/toasts";
import { describedSettings, loadSettings, settingsError } from "../state/settings";
import { About } from "./about";
import { EnvironmentOptions } from "./environment-options";
import { NumberSetting } from "./number-setting";
import { SwitchSetting } from "./switch-setting";

export function SettingsPage() {
  const [keysShown, showKeys] = useState(false);
  useTitle("Settings");
  return (
    <>
      <TopBar>
        <h1>{isPhone.value ? "More" : "Settings"}</h1>
        <div class="rest" />
      </TopBar>
      <div class="settings scroll">
        {isPhone.value && (
          <Link href="/models" class="card settings-link">
            <Icon of={Boxes} />
            Models
            <Icon of={ChevronRight} />
          </Link>
        )}
        {isPhone.value && (
          <Link href="/trash" class="card settings-link">
            <Icon of={Trash2} />
            Trash
            <Icon of={ChevronRight} />
          </Link>
        )}
        <section class="card">
          <h2>Look</h2>
          <ThemeChoice />
        </section>
        <SettingsForm />
        {!isPhone.value && (
          <button type="button" class="card settings-link" onClick={() => showKeys(true)}>
            <Icon of={Keyboard} />
            Keys
            <kbd>?</kbd>
          </button>
        )}
        <EnvironmentOptions />
        <About />
        {hasSignedIn() && <SignOut />}
      </div>
      {keysShown && <KeysDialog onClose={() => showKeys(false)} />}
    </>
  );
}

const THEMES: { value: Theme; name: string }[] = [
  { value: "system", name: "As the system" },
  { value: "dark", name: "Dark" },
  { value: "light", name: "Light" },
];

function ThemeChoice() {
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

function SignOut() {
  const [busy, setBusy] = useState(false);
  const leave = async () => {
    setBusy(true);
    try {
      await signOut();
    } catch (failure) {
      toastFailure("Not signed out.", failure);
      setBusy(false);
    }
  };
  return (
    <section class="card">
      <div class="setting">
        <div>
          <p>Owner's password</p>
          <p class="small muted">This browser is signed in, and stays so for thirty days after each visit.</p>
        </div>
        <button type="button" class="button" disabled={busy} onClick={() => void leave()}>
          Sign out
        </button>
      </div>
    </section>
  );
}

/** What the owner changes while Darkroom runs, as the service describes it. Each is saved as it is changed. */
function SettingsForm() {
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

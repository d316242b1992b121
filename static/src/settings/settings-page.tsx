import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { isPhone } from "../app/responsive";
import { useTitle } from "../app/use-title";
import { Icon } from "../shell/icon";
import { Boxes, ChevronRight, Keyboard, Trash2 } from "../shell/icons";
import { KeysDialog } from "../shell/keys-dialog";
import { hasSignedIn } from "../shell/signing";
import { TopBar } from "../shell/top-bar";
import { About } from "./about";
import { EnvironmentOptions } from "./environment-options";
import { SettingsForm } from "./settings-form";
import { SignOut } from "./sign-out";
import { ThemeChoice } from "./theme-choice";

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

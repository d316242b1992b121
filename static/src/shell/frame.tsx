import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { useKeys } from "../app/keys";
import { activityMark } from "./alarms";
import { Icon } from "./icon";
import { Activity, Ellipsis, GitFork, LayoutDashboard, Settings, Trash2 } from "./icons";
import { KeysDialog } from "./keys-dialog";
import { Toasts } from "./toasts";
import { Tray } from "./tray";

type Glyph = typeof Activity;

interface PlaceProps {
  to: string;
  icon: Glyph;
  name: string;
  under?: readonly string[];
  /** Why one should go there. */
  mark?: { words: string; tone: string } | null;
}

function Place({ to, icon, name, under = [], mark = null }: PlaceProps) {
  const [path] = useLocation();
  const here = path === to || (to !== "/" && path.startsWith(`${to}/`)) || under.includes(path);
  return (
    <Link
      href={to}
      class="place"
      aria-current={here ? "page" : undefined}
      aria-label={mark ? `${name}: ${mark.words}` : undefined}
      title={mark?.words}
    >
      <span class="place-icon">
        <Icon of={icon} />
        {mark && <span class={`dot ${mark.tone}`} data-testid="place-mark" />}
      </span>
      {name}
    </Link>
  );
}

/** Rail or tabs around whatever page is open, and what floats over every page. */
export function Frame({ children }: { children: ComponentChildren }) {
  const [keysShown, showKeys] = useState(false);
  useKeys({ "?": () => showKeys(true) });
  return (
    <div class="frame">
      <nav class="rail" aria-label="Places">
        <Link href="/" class="mark" aria-label="Darkroom">
          <i />
        </Link>
        <Place to="/" icon={LayoutDashboard} name="Library" />
        <Place to="/studio" icon={GitFork} name="Studio" />
        <Place to="/activity" icon={Activity} name="Activity" mark={activityMark.value} />
        <div class="rest" />
        <Place to="/trash" icon={Trash2} name="Trash" />
        <Place to="/settings" icon={Settings} name="Settings" />
      </nav>
      <main class="page">{children}</main>
      <nav class="tabs" aria-label="Places">
        <Place to="/" icon={LayoutDashboard} name="Library" />
        <Place to="/studio" icon={GitFork} name="Studio" />
        <Place to="/activity" icon={Activity} name="Activity" mark={activityMark.value} />
        <Place to="/settings" icon={Ellipsis} name="More" under={["/trash"]} />
      </nav>
      <Tray />
      <Toasts />
      {keysShown && <KeysDialog onClose={() => showKeys(false)} />}
    </div>
  );
}

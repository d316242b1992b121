import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { AlbumShelf, albumsPlace } from "../albums/album-shelf";
import { useKeys } from "../app/keys";
import { activityMark } from "./alarms";
import { Icon } from "./icon";
import { Activity, BookImage, Boxes, Ellipsis, GitFork, LayoutDashboard, Settings, Trash2 } from "./icons";
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
  /** Listeners for what is dropped on it. */
  takes?: typeof albumsPlace;
}

function Place({ to, icon, name, under = [], mark = null, takes }: PlaceProps) {
  const [path] = useLocation();
  const here = path === to || (to !== "/" && path.startsWith(`${to}/`)) || under.includes(path);
  return (
    <Link
      href={to}
      class="place"
      aria-current={here ? "page" : undefined}
      aria-label={mark ? `${name}: ${mark.words}` : undefined}
      title={mark?.words}
      {...takes}
    >
      <span class="place-icon">
        <Icon of={icon} />
        {mark && <span class={`dot ${mark.tone}`} data-testid="place-mark" />}
      </span>
      {name}
    </Link>
  );
}

const NAMES: Record<string, string> = {
  "": "Library",
  albums: "Albums",
  studio: "Studio",
  activity: "Activity",
  models: "Models",
  trash: "Trash",
  settings: "Settings",
};

/** Focuses the page that is open: what had the focus has gone. */
export function enterPage(): void {
  enter(document.querySelector<HTMLElement>("main.page")!);
}

/** Focuses the page. It does not stay focusable: a click on its words would then begin Tab's way at the page's top. */
function enter(page: HTMLElement): void {
  const ending = new AbortController();
  const leave = () => {
    ending.abort();
    page.removeAttribute("tabindex");
  };
  page.tabIndex = -1;
  page.focus({ preventScroll: true });
  for (const type of ["blur", "pointerdown"]) page.addEventListener(type, leave, { signal: ending.signal });
}

/** After a change of page the focus is in the new one, and its name is heard. */
function useArrival(main: { current: HTMLElement | null }): string | undefined {
  const [path] = useLocation();
  const [, place = "", part] = path.split("/");
  const before = useRef<string | null>(null);
  useEffect(() => {
    const page = `${place}/${part ?? ""}`;
    const isArrival = before.current !== null && before.current !== page;
    before.current = page;
    // Where a page puts it itself, it stays.
    if (isArrival && !main.current?.contains(document.activeElement)) enter(main.current!);
  }, [place, part]);
  return NAMES[place];
}

/** Rail or tabs around whatever page is open, and what floats over every page: `floating` too. */
export function Frame({ floating, children }: { floating: ComponentChildren; children: ComponentChildren }) {
  const [keysShown, showKeys] = useState(false);
  const main = useRef<HTMLElement>(null);
  const place = useArrival(main);
  useKeys({ "?": () => showKeys(true) });
  return (
    <div class="frame">
      <button type="button" class="button skip-link" onClick={() => enter(main.current!)}>
        Skip to the content
      </button>
      <nav class="rail" aria-label="Places">
        <Link href="/" class="mark" aria-label="Darkroom">
          <i />
        </Link>
        <Place to="/" icon={LayoutDashboard} name="Library" />
        <Place to="/albums" icon={BookImage} name="Albums" takes={albumsPlace} />
        <Place to="/studio" icon={GitFork} name="Studio" />
        <Place to="/activity" icon={Activity} name="Activity" mark={activityMark.value} />
        <Place to="/models" icon={Boxes} name="Models" />
        <div class="rest" />
        <Place to="/trash" icon={Trash2} name="Trash" />
        <Place to="/settings" icon={Settings} name="Settings" />
      </nav>
      <main class="page" ref={main} aria-label={place}>
        {children}
      </main>
      <nav class="tabs" aria-label="Places">
        <Place to="/" icon={LayoutDashboard} name="Library" />
        <Place to="/albums" icon={BookImage} name="Albums" />
        <Place to="/studio" icon={GitFork} name="Studio" />
        <Place to="/activity" icon={Activity} name="Activity" mark={activityMark.value} />
        <Place to="/settings" icon={Ellipsis} name="More" under={["/trash", "/models"]} />
      </nav>
      <AlbumShelf />
      <Tray />
      {floating}
      <Toasts />
      {keysShown && <KeysDialog onClose={() => showKeys(false)} />}
    </div>
  );
}

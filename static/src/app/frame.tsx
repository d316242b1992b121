import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { AlbumShelf, albumsPlace } from "../albums/album-shelf";
import { Icon } from "../components/icon";
import { Activity, BookImage, Boxes, Ellipsis, GitFork, LayoutDashboard, Settings, Trash2 } from "../components/icons";
import { KeysDialog } from "../components/keys-dialog";
import { enterPage } from "../lib/focus";
import { useKeys } from "../lib/keys";
import { toast } from "../lib/toasts";
import { dropTarget } from "../photo/drag";
import { canBeSource, openAsSource } from "../photo/source-address";
import { activityMark } from "../state/alarms";
import { getPhoto } from "../state/photos";
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
  photo: "Family",
  settings: "Settings",
};

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
    if (isArrival && !main.current?.contains(document.activeElement)) enterPage(main.current!);
  }, [place, part]);
  return NAMES[place];
}

/** Rail or tabs around the page that is open, and what floats over every page: `floating` too. */
export function Frame({ floating, children }: { floating: ComponentChildren; children: ComponentChildren }) {
  const [keysShown, showKeys] = useState(false);
  const main = useRef<HTMLElement>(null);
  const place = useArrival(main);
  useKeys({ "?": () => showKeys(true) });
  return (
    <div class="frame">
      <button type="button" class="button skip-link" onClick={() => enterPage(main.current!)}>
        Skip to the content
      </button>
      <nav class="rail" aria-label="Places">
        <Link href="/" class="mark" aria-label="Darkroom">
          <i />
        </Link>
        <Place to="/" icon={LayoutDashboard} name="Library" />
        <Place to="/albums" icon={BookImage} name="Albums" takes={albumsPlace} />
        <Place to="/studio" icon={GitFork} name="Studio" takes={studioPlace} />
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

/** What makes the rail's entry take a photo: it becomes the source of what is made next. */
const studioPlace = dropTarget(({ ids, all }) => {
  const [id] = ids;
  const photo = id === undefined ? undefined : getPhoto(id)?.peek();
  if (all !== null || ids.length !== 1 || photo === undefined) return void toast("One photo at a time can be a source");
  if (canBeSource(photo)) openAsSource(photo);
  else toast("This photo is not home yet. It can be a source once it is.");
});

import { useRef } from "preact/hooks";
import { Redirect, Route, Router, Switch, useLocation } from "wouter-preact";
import { ActivityPage } from "../activity/activity-page";
import { AlbumsPage } from "../albums/albums-page";
import { signedOut } from "../api/client";
import { FamilyPage } from "../family/family-page";
import { base } from "../lib/base";
import { type KeyMap, useKeys } from "../lib/keys";
import { LibraryPage } from "../library/library-page";
import { ModelsPage } from "../models/models-page";
import { SettingsPage } from "../settings/settings-page";
import { undoLast } from "../state/undo";
import { StudioPage } from "../studio/sessions-page";
import { Uploads, WaitingUploads } from "../upload/uploads-panel";
import { Frame } from "./frame";
import { Login } from "./login";

export function App() {
  if (!signedOut.value)
    return (
      <Router base={base}>
        <SignedIn />
      </Router>
    );
  return (
    <Router base={base}>
      <Login>
        <WaitingUploads />
      </Login>
    </Router>
  );
}

function SignedIn() {
  useGoKeys();
  useKeys({ "ctrl+z": undoLast });
  return (
    <Frame floating={<Uploads />}>
      <Switch>
        <Route path="/">{() => <LibraryPage key="library" trashed={false} />}</Route>
        <Route path="/trash">{() => <LibraryPage key="trash" trashed />}</Route>
        <Route path="/albums" component={AlbumsPage} />
        <Route path="/albums/:album">{({ album }) => <LibraryPage key={album} trashed={false} album={album} />}</Route>
        <Route path="/studio/:session?/:step?">
          {(at) => <StudioPage sessionId={at.session ?? null} stepId={at.step ?? null} />}
        </Route>
        <Route path="/photo/:photo/family">{({ photo }) => <FamilyPage id={photo} />}</Route>
        <Route path="/activity" component={ActivityPage} />
        <Route path="/models" component={ModelsPage} />
        <Route path="/settings" component={SettingsPage} />
        <Route>
          <Redirect to="/" replace />
        </Route>
      </Switch>
    </Frame>
  );
}

const GO_WITHIN_MS = 1_200;
const PLACES: Record<string, string> = { l: "/", b: "/albums", s: "/studio", a: "/activity", m: "/models", t: "/trash" };

/** `g`, then where to. */
function useGoKeys(): void {
  const [, navigate] = useLocation();
  const pressed = useRef(0);
  const keys: KeyMap = { g: () => (pressed.current = Date.now()) };
  for (const [key, place] of Object.entries(PLACES)) {
    keys[key] = () => {
      if (Date.now() - pressed.current > GO_WITHIN_MS) return;
      pressed.current = 0;
      navigate(place);
    };
  }
  useKeys(keys);
}

import "photoswipe/style.css";
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/indicators.css";
import "../styles/controls.css";
import "../styles/floating.css";
import "../styles/shell.css";
import "../styles/tile.css";
import "../styles/library.css";
import "../styles/inspector.css";
import "../styles/viewer.css";
import "../styles/tree.css";
import "../styles/sessions.css";
import "../styles/studio.css";
import "../styles/compose.css";
import "../styles/table.css";
import "../styles/activity.css";
import "../styles/models.css";
import "../styles/settings.css";

import { effect } from "@preact/signals";
import { render } from "preact";
import { signedOut } from "../api/client";
import { closeFeed, openFeed } from "../feed/connection";
import { dispatch, resync } from "../feed/dispatch";
import { followHealth } from "../shell/health";
import { preloadStage } from "../viewer/stage";
import { App } from "./app";
import { listenForKeys } from "./keys";

listenForKeys();
openFeed({ apply: dispatch, resync });
followHealth();
effect(() => {
  if (signedOut.value) closeFeed();
});
render(<App />, document.getElementById("app")!);
setTimeout(preloadStage, 3_000);

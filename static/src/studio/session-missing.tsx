import { Link } from "wouter-preact";
import { Blank } from "../shell/blank";
import { CloudOff } from "../shell/icons";
import { TopBar } from "../shell/top-bar";
import type { SessionError } from "./use-session";

export function SessionMissing({ error }: { error: SessionError }) {
  return (
    <>
      <TopBar>
        <h1>Studio</h1>
        <div class="rest" />
      </TopBar>
      <Blank icon={CloudOff} title={error.missing ? "This session is gone" : "The session cannot be read"}>
        <p>{error.missing ? "It may have been deleted. Its photos are still in the library." : error.reason}</p>
        <Link href="/studio" class="button">
          All sessions
        </Link>
      </Blank>
    </>
  );
}

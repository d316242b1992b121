// The address of an InvokeAI server, as people type and paste it.

/** InvokeAI's own port. */
const USUAL_PORT = "9090";

const EXAMPLE = "http://192.168.1.20:9090";

/** What somebody may have meant by an address, likeliest first; or what is wrong with it, in a sentence. */
type Address = { candidates: [string, ...string[]]; problem: null } | { candidates: null; problem: string };

/** Takes what is typed or pasted: a URL, its page's path and all, or host and port, or a host alone. */
export function parseAddress(text: string): Address {
  const bare = text.replace(/^[\s<"']+|[\s>"']+$/g, "").replace(/^(?:https?:\/\/)+(?=https?:\/\/)/i, "");
  if (bare === "") return wrong("Type or paste the address of the InvokeAI server.");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(bare)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "http" && scheme !== "https")
    return wrong(`An address begins with http:// or https://, not with ${scheme}://.`);
  const url = read(scheme === undefined ? `http://${bare}` : bare);
  if (url === null) return wrong(`This is no address. One looks like ${EXAMPLE} or gpu-box:9090.`);
  if (url.username || url.password) return wrong("Leave the login out of the address: it has fields of its own below.");
  const path = url.pathname.replace(/\/+$/, "");
  if (scheme !== undefined) return meant(withAndWithout(url.origin, path));
  const port = /^(?:\[[^\]]*\]|[^/:?#]*):(\d+)/.exec(bare)?.[1];
  if (port !== undefined) {
    const [plain, secure] = [`http://${url.hostname}:${port}`, `https://${url.hostname}:${port}`];
    return meant((port === "443" ? [secure] : [plain, secure]).flatMap((origin) => withAndWithout(read(origin)!.origin, path)));
  }
  const usual = `http://${url.hostname}:${USUAL_PORT}`;
  const standard = [`https://${url.hostname}`, `http://${url.hostname}`];
  // With a path it is behind a proxy, which has no port of InvokeAI's own.
  return meant(path ? [...standard.map((origin) => origin + path), usual] : [usual, ...standard]);
}

/** The same host at InvokeAI's own port, where that is another address: another port may be a slip. */
export function atUsualPort(address: string): string | null {
  const url = read(address);
  return url === null || url.port === USUAL_PORT ? null : `http://${url.hostname}:${USUAL_PORT}`;
}

function read(text: string): URL | null {
  try {
    const url = new URL(text);
    return url.hostname === "" ? null : url;
  } catch {
    return null;
  }
}

/** A path may be a proxy's, or that of the page that was open when the address was copied. */
function withAndWithout(origin: string, path: string): string[] {
  return path ? [origin + path, origin] : [origin];
}

function meant(candidates: string[]): Address {
  return { candidates: candidates as [string, ...string[]], problem: null };
}

function wrong(problem: string): Address {
  return { candidates: null, problem };
}

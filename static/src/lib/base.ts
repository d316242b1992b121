/** The path below which Darkroom is reached, such as `/darkroom`; empty without one. The service writes it into the page. */
export const base = readBase();

function readBase(): string {
  if (typeof document === "undefined") return "";
  return document.querySelector<HTMLMetaElement>('meta[name="darkroom-base"]')?.content ?? "";
}

/** An address of the page's or of the API's own, as the browser asks for it. `Link` and `useLocation` do so themselves. */
export function below(path: string): string {
  return base + path;
}

/** Where the page is, without the base: as `useLocation` says it. */
export function pathHere(): string {
  const { pathname } = location;
  return pathname === base || pathname.startsWith(`${base}/`) ? pathname.slice(base.length) || "/" : pathname;
}

// The page's address, the browser's history, and the tab's title.

import { useEffect } from "preact/hooks";
import { useLocation, useSearch } from "wouter-preact";

let arriving: Promise<void> | null = null;

/** Goes back one place; resolves there. Asked for again on the way, it goes no further. */
export function goBack(): Promise<void> {
  arriving ??= new Promise((arrive) => {
    const settle = () => {
      arriving = null;
      arrive();
    };
    addEventListener("popstate", settle, { once: true });
    history.back();
  });
  return arriving;
}

/** Another place is opened, which ends a going back that is not over. */
export function goOn(): void {
  arriving = null;
}

/** The photo that the viewer shows stands in the address, `?photo=`: links lead to it and Back closes it. */
export function usePhotoAddress() {
  const [path, navigate] = useLocation();
  const search = new URLSearchParams(useSearch());

  const addressOf = (photo: string | null) => {
    const next = new URLSearchParams(search);
    if (photo) next.set("photo", photo);
    else next.delete("photo");
    const text = next.toString();
    return text ? `${path}?${text}` : path;
  };

  return {
    shown: search.get("photo"),
    addressOf,
    open: (photo: string) => {
      goOn();
      navigate(addressOf(photo), { state: { opened: true } });
    },
    move: (photo: string) => navigate(addressOf(photo), { replace: true, state: history.state }),
    close: () => {
      if ((history.state as { opened?: boolean } | null)?.opened) void goBack();
      else navigate(addressOf(null), { replace: true });
    },
  };
}

/** Names the browser's tab after what the page shows. */
export function useTitle(name: string | undefined): void {
  useEffect(() => {
    document.title = name ? `${name} · Darkroom` : "Darkroom";
  }, [name]);
}

import { useLocation, useSearch } from "wouter-preact";

/** Set between asking to go back and being there: asked twice in that time, it would go back two places. */
let goingBack = false;
addEventListener("popstate", () => (goingBack = false));

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
      goingBack = false;
      navigate(addressOf(photo), { state: { opened: true } });
    },
    move: (photo: string) => navigate(addressOf(photo), { replace: true, state: history.state }),
    close: () => {
      if (goingBack) return;
      if ((history.state as { opened?: boolean } | null)?.opened) {
        goingBack = true;
        history.back();
      } else navigate(addressOf(null), { replace: true });
    },
  };
}

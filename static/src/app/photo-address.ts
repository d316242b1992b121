import { useLocation, useSearch } from "wouter-preact";
import { goBack, goOn } from "./go-back";

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

import { navigate, useHistoryState } from "wouter-preact/use-browser-location";
import { goBack, goOn } from "../app/go-back";
import { isPhone } from "../app/responsive";
import { isOpen } from "./uploads";

interface Opened {
  uploads?: boolean;
}

/** Whether the queue is shown whole. On a phone it is a sheet with a place in the history, which Back closes. */
export function useOpen(): { isOpen: boolean; open: () => void; close: () => void } {
  const state = useHistoryState<Opened | null>();
  if (!isPhone.value) {
    return { isOpen: isOpen.value, open: () => (isOpen.value = true), close: () => (isOpen.value = false) };
  }
  return {
    isOpen: state?.uploads === true,
    open: () => {
      goOn();
      navigate(location.href, { state: { ...(history.state as object | null), uploads: true } });
    },
    close: () => void goBack(),
  };
}

// Signing in with the owner's password, and out.

import { api, signedOut } from "./client";

/** The session's cookie cannot be seen from here: this browser remembers that somebody gave the owner's password. */
const SIGNED_IN = "darkroom.signed-in";

/** The page goes on where it was: what waits to be uploaded would not survive a reload. */
export async function signIn(password: string): Promise<void> {
  await api.POST("/api/v1/login", { body: { password } });
  try {
    localStorage.setItem(SIGNED_IN, "true");
  } catch {
    // Storage is full or forbidden: then there is no button for signing out.
  }
  signedOut.value = false;
}

/** False also where Darkroom has no password: there is nothing to sign out of. */
export function hasSignedIn(): boolean {
  try {
    return localStorage.getItem(SIGNED_IN) !== null;
  } catch {
    return false;
  }
}

/** Leaves nothing of the owner's work behind in this window, drafts included. */
export async function signOut(): Promise<void> {
  await api.POST("/api/v1/logout");
  localStorage.removeItem(SIGNED_IN);
  sessionStorage.clear();
  location.reload();
}

import { useState } from "preact/hooks";
import { toastFailure } from "../app/toasts";
import { signOut } from "../shell/signing";

export function SignOut() {
  const [busy, setBusy] = useState(false);
  const leave = async () => {
    setBusy(true);
    try {
      await signOut();
    } catch (failure) {
      toastFailure("Not signed out.", failure);
      setBusy(false);
    }
  };
  return (
    <section class="card">
      <div class="setting">
        <div>
          <p>Owner's password</p>
          <p class="small muted">This browser is signed in, and stays so for thirty days after each visit.</p>
        </div>
        <button type="button" class="button" disabled={busy} onClick={() => void leave()}>
          Sign out
        </button>
      </div>
    </section>
  );
}

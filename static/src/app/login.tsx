import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { signIn } from "../api/sign-in";
import { reasonOf } from "../lib/format";

/** Shown in place of everything while the owner's password is wanted; `children` say what waits for it. */
export function Login({ children }: { children?: ComponentChildren }) {
  const [password, setPassword] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  async function submit(event: SubmitEvent) {
    event.preventDefault();
    setBusy(true);
    setWrong(null);
    try {
      await signIn(password);
    } catch (failure) {
      setWrong(failure instanceof ApiError && failure.status === 401 ? "That is not the password." : reasonOf(failure));
      setBusy(false);
    }
  }

  return (
    <main class="login">
      <form onSubmit={submit}>
        <div class="mark" aria-hidden="true">
          <i />
        </div>
        <h1>Darkroom</h1>
        {children}
        <label class="field">
          <span class="label">Password</span>
          <input
            class="input"
            type="password"
            name="password"
            autocomplete="current-password"
            required
            autofocus
            value={password}
            aria-invalid={wrong !== null}
            aria-describedby="login-wrong"
            onInput={(event) => setPassword(event.currentTarget.value)}
          />
        </label>
        <p id="login-wrong" class="bad small" role="alert">
          {wrong}
        </p>
        <button type="submit" class="button primary large" disabled={busy}>
          Open the library
        </button>
      </form>
    </main>
  );
}

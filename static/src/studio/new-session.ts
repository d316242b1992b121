import { toastFailure } from "../app/toasts";
import { createSession } from "../state/sessions";
import { shorten } from "./changes";
import { draftOf } from "./kept-drafts";

const LONGEST_NAME = 40;

/** Makes a session, with a first prompt in its compose panel; resolves with its id, or null after saying why not. */
export async function startSession(prompt = ""): Promise<string | null> {
  try {
    const subject = prompt.split(/[,\n]/).find((part) => part.trim() !== "") ?? "New session";
    const name = shorten(subject.trim(), LONGEST_NAME);
    const session = await createSession(name.charAt(0).toUpperCase() + name.slice(1));
    const draft = draftOf(session.id);
    draft.value = { ...draft.peek(), prompt };
    return session.id;
  } catch (failure) {
    toastFailure("No session was made.", failure);
    return null;
  }
}

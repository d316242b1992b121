import { useEffect } from "preact/hooks";
import { loadModels } from "../state/models";
import { loadSessions } from "../state/sessions";
import { SessionPage } from "./session-page";
import { SessionsPage } from "./sessions-page";

export function StudioPage({ sessionId, stepId }: { sessionId: string | null; stepId: string | null }) {
  useEffect(() => {
    void loadSessions();
    void loadModels();
  }, []);
  return sessionId === null ? <SessionsPage /> : <SessionPage id={sessionId} stepId={stepId} />;
}

export function StudioPage(_: { sessionId: string | null; stepId: string | null }) { return null; }

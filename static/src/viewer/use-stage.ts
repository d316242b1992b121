import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { resyncEvents } from "../state/feed-events";
import { openStage, type Stage } from "./stage";

/** Room kept free around the picture, in pixels. */
interface Room {
  above: number;
  below: number;
}

interface StageOptions {
  host: { current: HTMLDivElement | null };
  ids: readonly string[];
  index: number;
  /** False until the shown photo's size is known. */
  known: boolean;
  room: Room;
  onShow: (id: string) => void;
  onTap: () => void;
  onClose: () => void;
}

/** Keeps a stage open on the shown photo. `failed` while its code could not be loaded: that is tried again once Darkroom answers. */
export function useStage(options: StageOptions): { stage: Stage | null; failed: boolean } {
  const { host, ids, index, known, room } = options;
  const latest = useRef(options);
  latest.current = options;
  const [stage, setStage] = useState<Stage | null>(null);
  const [failed, setFailed] = useState(false);
  const [tries, setTries] = useState(0);

  useEffect(() => {
    if (!known) return;
    let wanted = true;
    let opened: Stage | null = null;
    const opening = openStage({
      element: host.current!,
      begin: () => latest.current,
      room: () => latest.current.room,
      // A stage that opens after the viewer was left has nothing to say.
      onShow: (id) => {
        if (wanted && id !== latest.current.ids[latest.current.index]) latest.current.onShow(id);
      },
      onTap: () => latest.current.onTap(),
      onClose: () => wanted && latest.current.onClose(),
    });
    opening.then(
      (fresh) => {
        if (!wanted) return fresh.leave();
        opened = fresh;
        setFailed(false);
        setStage(fresh);
      },
      () => wanted && setFailed(true),
    );
    return () => {
      wanted = false;
      opened?.leave();
      setStage(null);
    };
  }, [known, tries]);

  useEffect(() => (failed ? resyncEvents.listen(() => setTries((before) => before + 1)) : undefined), [failed]);
  useEffect(() => stage?.show(ids, index), [stage, ids, index]);
  useEffect(() => (stage ? resyncEvents.listen(stage.retry) : undefined), [stage]);
  useEffect(() => stage?.fit(true), [stage, room.above, room.below]);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => stage?.fit(false));
    observer.observe(host.current!);
    return () => observer.disconnect();
  }, [stage]);
  return { stage, failed };
}

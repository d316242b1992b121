import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { resyncEvents } from "../state/feed-events";
import { openStage, type Stage } from "./stage";

interface StageOptions {
  host: { current: HTMLDivElement | null };
  ids: readonly string[];
  index: number;
  /** False until the shown photo's size is known. */
  known: boolean;
  below: number;
  onShow: (id: string) => void;
  onTap: () => void;
  onClose: () => void;
}

/** Keeps a stage open on the shown photo. */
export function useStage(options: StageOptions): Stage | null {
  const { host, ids, index, known, below } = options;
  const latest = useRef(options);
  latest.current = options;
  const [stage, setStage] = useState<Stage | null>(null);

  useEffect(() => {
    if (!known) return;
    let wanted = true;
    let opened: Stage | null = null;
    const opening = openStage({
      element: host.current!,
      begin: () => latest.current,
      below: () => latest.current.below,
      // A stage that opens after the viewer was left has nothing to say.
      onShow: (id) => {
        if (wanted && id !== latest.current.ids[latest.current.index]) latest.current.onShow(id);
      },
      onTap: () => latest.current.onTap(),
      onClose: () => wanted && latest.current.onClose(),
    });
    void opening.then((fresh) => {
      if (!wanted) return fresh.leave();
      opened = fresh;
      setStage(fresh);
    });
    return () => {
      wanted = false;
      opened?.leave();
      setStage(null);
    };
  }, [known]);

  useEffect(() => stage?.show(ids, index), [stage, ids, index]);
  useEffect(() => (stage ? resyncEvents.listen(stage.retry) : undefined), [stage]);
  useEffect(() => stage?.swipe.updateSize(true), [stage, below]);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => stage?.swipe.updateSize(true));
    observer.observe(host.current!);
    return () => observer.disconnect();
  }, [stage]);
  return stage;
}

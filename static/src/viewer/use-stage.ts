import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { followArrival, openStage, type Stage } from "./stage";

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

/** The stage holds slides by number: they stay right only while the photos around the shown one stay. */
function sameAround(a: readonly string[], b: readonly string[], at: number): boolean {
  return [at - 1, at, at + 1].every((index) => a[index] === b[index]);
}

/** Keeps a stage open on the shown photo, and sets it anew when the list changes around it. */
export function useStage(options: StageOptions): { current: Stage | null } {
  const { host, ids, index, known, below } = options;
  const latest = useRef(options);
  latest.current = options;
  const stage = useRef<Stage | null>(null);
  const held = useRef<readonly string[]>(ids);
  const [opened, setOpened] = useState<Stage | null>(null);

  const usable = stage.current !== null && sameAround(held.current, ids, stage.current.swipe.currIndex);
  const [edition, setEdition] = useState(0);
  useEffect(() => {
    if (stage.current === null) return;
    if (!usable) return setEdition((n) => n + 1);
    held.current = ids;
    if (stage.current.swipe.currIndex !== index) stage.current.swipe.goTo(index);
  }, [ids, index]);

  useEffect(() => {
    if (!known) return;
    let wanted = true;
    held.current = latest.current.ids;
    const opening = openStage(
      {
        element: host.current!,
        ids: () => held.current,
        below: () => latest.current.below,
        // A stage that opens after the viewer was left has nothing to say.
        onShow: (id) => wanted && latest.current.onShow(id),
        onTap: () => latest.current.onTap(),
        onClose: () => wanted && latest.current.onClose(),
      },
      latest.current.index,
    );
    void opening.then((fresh) => {
      if (!wanted) return fresh.leave();
      stage.current = fresh;
      setOpened(fresh);
    });
    return () => {
      wanted = false;
      stage.current?.leave();
      stage.current = null;
    };
  }, [known, edition]);

  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => stage.current?.swipe.updateSize(true));
    observer.observe(host.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => stage.current?.swipe.updateSize(true), [below]);
  useEffect(() => (opened && opened === stage.current ? followArrival(opened.swipe, ids[index]!, index) : undefined), [opened, index, ids]);
  return stage;
}

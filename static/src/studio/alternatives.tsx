import type { Signal } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useKeys } from "../lib/keys";
import { usePhotoAddress } from "../lib/navigation";
import { isPhone } from "../lib/responsive";
import { openAsSource } from "../photo/source-address";
import { getPhoto } from "../state/photos";
import { podWaitAt } from "../state/pods";
import { selectionOf, toggleSelection } from "../state/step-selection";
import { type StepState, shownAlternatives } from "../state/steps";
import { Viewer } from "../viewer/viewer";
import { fitBoxes, stackBoxes } from "./fit";
import { SlotView } from "./slot-view";
import { slotsOf } from "./slots";
import { StepHeader } from "./step-header";

const nothingMore = async () => undefined;

/** The chosen step, large: its pictures, and the work that is still becoming one. */
export function Alternatives({ step, onRemove }: { step: Signal<StepState>; onRemove: (() => Promise<void>) | null }) {
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const address = usePhotoAddress();
  const now = step.value;
  const ids = shownAlternatives(now);
  const slots = slotsOf(now, ids);
  const { width, height } = shapeOf(now, ids);
  const ratio = width / height;
  const selected = selectionOf(now);
  const toggle = (id: string) => toggleSelection(step.peek(), id);
  const toggleAimedAt = () => {
    const id = aimedAt(area.current);
    if (id !== undefined) toggle(id);
  };
  useKeys({
    Enter: toggleAimedAt,
    s: toggleAimedAt,
    " ": () => {
      const id = aimedAt(area.current);
      if (id !== undefined) address.open(id);
    },
    e: () => {
      const id = aimedAt(area.current);
      if (id !== undefined) openAsSource(getPhoto(id)!.peek());
    },
  });
  const fit = isPhone.value ? stackBoxes(slots.length, ratio, size.width) : fitBoxes(slots.length, ratio, size.width, size.height);
  return (
    <>
      <StepHeader step={step} made={ids.length} address={address} onRemove={ids.length === 0 ? onRemove : null} />
      <div class="alternatives scroll" ref={area}>
        {size.width > 0 && (
          <ul style={{ gridTemplateColumns: `repeat(${fit.columns}, ${fit.width}px)`, gridAutoRows: `${fit.height}px` }}>
            {slots.map((slot) => (
              <SlotView
                key={slot.key}
                slot={slot}
                trouble={now.error_message}
                wait={podWaitAt(now.backend_id)}
                several={now.batch_size > 1}
                selected={slot.photo !== null && slot.photo === selected}
                box={fit}
                addressOf={address.addressOf}
                onOpen={address.open}
                onSelect={toggle}
              />
            ))}
          </ul>
        )}
      </div>
      {address.shown && (
        <Viewer
          ids={ids}
          shown={address.shown}
          choice={{ selected, toggle }}
          more={false}
          onMore={nothingMore}
          onMove={address.move}
          onClose={address.close}
        />
      )}
    </>
  );
}

/** The picture that a key is meant for: the one with the focus, else the one under the pointer. */
function aimedAt(area: HTMLElement | null): string | undefined {
  const focused = document.activeElement?.closest<HTMLElement>("[data-photo]");
  const aimed = focused && area?.contains(focused) ? focused : area?.querySelector<HTMLElement>("[data-photo]:hover");
  return aimed?.dataset.photo;
}

/** The shape of the step's pictures: as asked for, or as they turned out. */
function shapeOf(step: StepState, ids: readonly string[]): { width: number; height: number } {
  const made = ids.length ? getPhoto(ids[0]!)!.value : null;
  if (made && made.width > 0 && made.height > 0) return made;
  return { width: step.parameters.width ?? 1, height: step.parameters.height ?? 1 };
}

function useSize(element: { current: HTMLElement | null }): { width: number; height: number } {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const target = element.current!;
    const measure = () => {
      const style = getComputedStyle(target);
      const across = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
      const down = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
      setSize({ width: target.clientWidth - across, height: target.clientHeight - down });
    };
    const observer = new ResizeObserver(measure);
    observer.observe(target);
    measure();
    return () => observer.disconnect();
  }, []);
  return size;
}

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon, IconButton } from "../components/icon";
import { Info, X } from "../components/icons";
import { inspectorOpen } from "../lib/preferences";
import { closeByPulling } from "../lib/pull-down";
import { isPhone, isWide } from "../lib/responsive";
import { Picture } from "../photo/picture";
import { usePhoto } from "../photo/use-photo";
import { Inspector } from "./inspector";

/** Of its picture, at most. */
const WIDTH = 288;

/** The inspector beside the library: a column where there is room, else it slides over. */
export function InspectorPanel({ id, onOpen }: { id: string | null; onOpen: (id: string) => void }) {
  const { photo } = usePhoto(id);
  useEffect(() => {
    if (!isWide.peek()) inspectorOpen.value = false;
  }, []);
  if (!inspectorOpen.value) return null;
  return (
    <InspectorFrame>
      {photo ? (
        <>
          <div
            class="inspector-picture"
            style={{ aspectRatio: `${photo.value.width} / ${photo.value.height}` }}
            key={photo.value.id}
          >
            <Picture photo={photo} box={{ width: WIDTH, height: (WIDTH * photo.value.height) / photo.value.width }} />
          </div>
          <Inspector photo={photo} onOpen={onOpen} key={`facts-${photo.value.id}`} />
        </>
      ) : (
        <div class="inspector-none">
          <Icon of={Info} />
          <p>Move onto a picture with the arrow keys, or choose one by its circle, to see its info.</p>
        </div>
      )}
    </InspectorFrame>
  );
}

/** What holds the facts: a column where there is room, else it slides over; on a phone a sheet that is pulled down to close it. */
export function InspectorFrame({ children }: { children: ComponentChildren }) {
  const frame = useRef<HTMLElement>(null);
  useEffect(() => (isPhone.value ? closeByPulling(frame.current!, close) : undefined), [isPhone.value]);
  return (
    <aside class="inspector scroll" aria-label="Info" ref={frame}>
      <span class="sheet-grip" aria-hidden="true" />
      <IconButton class="inspector-close" icon={X} label="Close" keys="i" onClick={close} />
      {children}
    </aside>
  );
}

function close(): void {
  inspectorOpen.value = false;
}

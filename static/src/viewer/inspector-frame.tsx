import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { inspectorOpen } from "../app/preferences";
import { closeByPulling } from "../app/pull-down";
import { isPhone } from "../app/responsive";
import { IconButton } from "../shell/icon";
import { X } from "../shell/icons";

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

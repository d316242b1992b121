import type { LucideIcon } from "lucide-preact";
import type { ComponentChildren } from "preact";
import { Icon } from "./icon";

/** An empty or broken place: what it is, and what happens or helps next. */
export function Blank({ icon, title, children }: { icon: LucideIcon; title: string; children?: ComponentChildren }) {
  return (
    <section class="blank" data-testid="blank">
      <Icon of={icon} />
      <h1>{title}</h1>
      {children}
    </section>
  );
}

import type { ComponentChildren, TargetedMouseEvent } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

/** A modal dialog; Esc and a press beside it close it. However it is closed, it gives the focus back. */
export function Dialog({
  title,
  onClose,
  wide = false,
  children,
}: {
  title: string;
  onClose: () => void;
  wide?: boolean;
  children: ComponentChildren;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const pressedBeside = useRef(false);
  const id = useId();
  useEffect(() => {
    const dialog = element.current!;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "wide" : ""}
      aria-labelledby={id}
      onClose={() => {
        // Told a moment later: one that was taken away has nothing to close any more.
        if (element.current) onClose();
      }}
      onPointerDown={(event) => (pressedBeside.current = isBeside(event))}
      onMouseDown={(event) => {
        // The focus stays where it is, should this be the second press of a double click.
        if (isBeside(event)) event.preventDefault();
      }}
      onClick={(event) => {
        // Text dragged over out of a field ends in a click on the dialog too; and a double click began before it stood.
        if (event.target === event.currentTarget && event.detail === 1 && pressedBeside.current && isBeside(event))
          event.currentTarget.close();
      }}
      onKeyDown={(event) => {
        // An Enter still held down from before must not press what has the focus here.
        if (event.repeat && event.key === "Enter") event.preventDefault();
      }}
    >
      <h1 id={id}>{title}</h1>
      {children}
    </dialog>
  );
}

/** On the backdrop; the dialog's own padding is no such place. */
function isBeside(event: TargetedMouseEvent<HTMLDialogElement>): boolean {
  const { left, right, top, bottom } = event.currentTarget.getBoundingClientRect();
  return event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom;
}

interface ConfirmProps {
  title: string;
  text: string;
  action: string;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks once more before something that cannot be undone. */
export function Confirm({ title, text, action, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p class="muted">{text}</p>
      <form method="dialog" class="dialog-actions" onSubmit={onConfirm}>
        <button type="button" class="button quiet" autofocus onClick={onClose}>
          Keep
        </button>
        <button type="submit" class="button danger">
          {action}
        </button>
      </form>
    </Dialog>
  );
}

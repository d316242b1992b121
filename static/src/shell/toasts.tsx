import { dismiss, toasts } from "../app/toasts";
import { Icon, IconButton } from "./icon";
import { CircleAlert, X } from "./icons";

export function Toasts() {
  return (
    <div class="toasts" role="region" aria-label="Messages" aria-live="polite">
      {toasts.value.map((one) => (
        <div key={one.id} class={`toast ${one.tone}`} role={one.tone === "bad" ? "alert" : "status"} data-testid="toast">
          {one.tone === "bad" && <Icon of={CircleAlert} />}
          <span>{one.text}</span>
          {one.action && (
            <button
              type="button"
              class="button quiet compact"
              onClick={() => {
                dismiss(one.id);
                one.action!.run();
              }}
            >
              {one.action.label}
            </button>
          )}
          {one.tone === "bad" && <IconButton icon={X} label="Dismiss" onClick={() => dismiss(one.id)} />}
        </div>
      ))}
    </div>
  );
}

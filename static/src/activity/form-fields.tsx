import { useId } from "preact/hooks";

interface TextProps {
  label: string;
  value: string;
  type?: string;
  inputMode?: "url" | "decimal" | "numeric";
  placeholder?: string | undefined;
  focus?: boolean;
  /** Several lines, of this number at first. */
  rows?: number;
  help?: string;
  /** What the service says is wrong with it. */
  flaw?: string | null;
  onInput: (value: string) => void;
}

/** A labelled field with what helps to fill it in, and what is wrong with what it has. */
export function Text({ label, value, type = "text", inputMode, placeholder, focus, rows, help, flaw, onInput }: TextProps) {
  const id = useId();
  const common = {
    value,
    inputMode,
    placeholder,
    spellcheck: false,
    autofocus: focus,
    "aria-invalid": flaw != null,
    "aria-describedby": [flaw != null && `${id}-flaw`, help && `${id}-help`].filter(Boolean).join(" ") || undefined,
  };
  return (
    <div class="field">
      <label class="label" for={id}>
        {label}
      </label>
      {rows === undefined ? (
        <input
          {...common}
          id={id}
          class="input"
          type={type}
          autocomplete={type === "password" ? "new-password" : "off"}
          onFocus={(event) => event.currentTarget.select()}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      ) : (
        <textarea
          {...common}
          id={id}
          class="input argument-lines"
          rows={rows}
          wrap="off"
          autocapitalize="off"
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
      {flaw != null && (
        <p class="small bad" id={`${id}-flaw`} role="alert">
          {flaw}
        </p>
      )}
      {help && (
        <p class="small muted" id={`${id}-help`}>
          {help}
        </p>
      )}
    </div>
  );
}

/** A switch, after its label. */
export function Switch({ label, on, onChange }: { label: string; on: boolean; onChange: (on: boolean) => void }) {
  return (
    <label class="switch-row">
      <span>{label}</span>
      <input
        class="switch"
        type="checkbox"
        role="switch"
        aria-checked={on}
        checked={on}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    </label>
  );
}

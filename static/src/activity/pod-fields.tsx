import { useId } from "preact/hooks";
import { Text } from "./form-fields";
import { type Flaw, type Kind, type PodForm, RUNPOD_API } from "./pod-form";
import { sentence } from "./words";

interface PodFieldsProps {
  kind: Kind;
  form: PodForm;
  /** Whether the pod is stored already: its api key then, too. */
  stored: boolean;
  flaw: Flaw | null;
  onChange: (next: Partial<PodForm>) => void;
}

/** What reaches a pod's provider, and when the pod is stopped. */
export function PodFields({ kind, form, stored, flaw, onChange }: PodFieldsProps) {
  const flawAt = (field: string) => (flaw?.field === field ? sentence(flaw.words) : null);
  const autostartHelp = useId();
  return (
    <>
      {kind === "runpod" ? (
        <RunPodFields form={form} stored={stored} flawAt={flawAt} onChange={onChange} />
      ) : (
        <CommandFields form={form} flawAt={flawAt} onChange={onChange} />
      )}
      <Text
        label="Stop after idle minutes"
        value={form.idleMinutes}
        inputMode="decimal"
        flaw={flawAt("idle_minutes")}
        help="Idle: nothing in its queue, of anyone, and nobody looks at what it makes. It is stopped only when everything it made is home."
        onInput={(idleMinutes) => onChange({ idleMinutes })}
      />
      <div class="field">
        <label class="switch-row">
          <span>Start it for work</span>
          <input
            class="switch"
            type="checkbox"
            role="switch"
            aria-checked={form.autostart}
            aria-describedby={autostartHelp}
            checked={form.autostart}
            onChange={(event) => onChange({ autostart: event.currentTarget.checked })}
          />
        </label>
        <p class="small muted" id={autostartHelp}>
          A step for the stopped pod starts it, and it costs from then on. Off: only you start it.
        </p>
      </div>
    </>
  );
}

interface OwnProps {
  form: PodForm;
  flawAt: (field: string) => string | null;
  onChange: (next: Partial<PodForm>) => void;
}

function RunPodFields({ form, stored, flawAt, onChange }: OwnProps & { stored: boolean }) {
  return (
    <>
      <Text
        label="API key"
        type="password"
        value={form.apiKey}
        placeholder={stored ? "stored; empty keeps it" : "rpa_…"}
        focus={!stored}
        flaw={flawAt("provider.api_key")}
        help="Made in RunPod under Settings, API keys. It is never shown again here, and only starting, stopping and reading this pod is asked with it."
        onInput={(apiKey) => onChange({ apiKey })}
      />
      <div class="pair pod-and-port">
        <Text
          label="Pod id"
          value={form.podId}
          placeholder="2s56cp0pof1rmt"
          flaw={flawAt("provider.pod_id")}
          onInput={(podId) => onChange({ podId })}
        />
        <Text
          label="Port"
          value={form.port}
          inputMode="numeric"
          flaw={flawAt("provider.port")}
          onInput={(port) => onChange({ port })}
        />
      </div>
      <p class="small muted">
        The pod has to exist: Darkroom starts and stops it, and never makes or deletes one. Port: of InvokeAI, among the pod's HTTP
        ports.
      </p>
    </>
  );
}

const EXAMPLE = "ssh\nme@studio.local\nsystemctl start invokeai";

function CommandFields({ form, flawAt, onChange }: OwnProps) {
  return (
    <>
      <div class="field command-help">
        <p class="small muted">
          Each command runs on Darkroom's machine without a shell, for at most 60 s; name it by its whole path, or as it is found on
          the PATH. Write one argument per line: nothing has to be quoted, and nothing is expanded.{" "}
          <code>ssh me@studio.local "systemctl start invokeai"</code> is these three lines:
        </p>
        <pre class="example-lines">{EXAMPLE}</pre>
      </div>
      <Text label="Start" rows={3} value={form.start} flaw={flawAt("provider.start")} onInput={(start) => onChange({ start })} />
      <Text label="Stop" rows={3} value={form.stop} flaw={flawAt("provider.stop")} onInput={(stop) => onChange({ stop })} />
      <Text
        label="Status"
        rows={3}
        value={form.status}
        flaw={flawAt("provider.status")}
        help="It ends with exit code 0 while the machine runs and 1 while it is stopped; any other code means not known."
        onInput={(status) => onChange({ status })}
      />
      <Text
        label="Cost per hour in $, when it costs"
        value={form.cost}
        inputMode="decimal"
        placeholder="0.69"
        flaw={flawAt("provider.cost_per_hour")}
        onInput={(cost) => onChange({ cost })}
      />
    </>
  );
}

interface ApiProps {
  value: string;
  flaw: string | null;
  onInput: (value: string) => void;
}

/** Needed seldom: where RunPod's own API is reached by another address. */
export function RunPodApi({ value, flaw, onInput }: ApiProps) {
  return <Text label="RunPod's API" value={value} inputMode="url" placeholder={RUNPOD_API} flaw={flaw} onInput={onInput} />;
}

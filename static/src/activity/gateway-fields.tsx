import { useEffect, useId, useState } from "preact/hooks";
import { IconButton } from "../components/icon";
import { X } from "../components/icons";
import { Switch, Text } from "./form-fields";
import { type GatewayForm, type Header, isEmpty, withHeader, withoutHeader } from "./gateway-form";
import type { Flaw } from "./pod-form";
import { sentence } from "./words";

interface GatewayFieldsProps {
  form: GatewayForm;
  /** Something is stored for the address. */
  stored: boolean;
  /** The address was changed to another origin. */
  elsewhere: boolean;
  /** It is asked for, or something of it is wrong. */
  open: boolean;
  flaw: Flaw | null;
  onChange: (next: Partial<GatewayForm>) => void;
}

/** What stands before InvokeAI and wants to see something: basic auth, an access gateway, a certificate of one's own. */
export function GatewayFields({ form, stored, elsewhere, open, flaw, onChange }: GatewayFieldsProps) {
  const flawAt = (field: string) => (flaw?.field === `gateway.${field}` ? sentence(flaw.words) : null);
  const keeps = stored && !elsewhere;
  const [isOpen, setOpen] = useState(open);
  useEffect(() => {
    if (open) setOpen(true);
  }, [open]);
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)} data-testid="gateway">
      <summary class="small muted">Gateway, when one stands before InvokeAI</summary>
      {isOpen && (
        <>
          <p class="small muted">
            {keeps ? "What is stored for this address is not shown. Leave a field empty to keep it. " : ""}
            {elsewhere ? "What was given for the former address is kept for it, and not sent to this one. " : ""}
            It is sent to this scheme, host and port alone.
          </p>
          <div class="pair">
            <Text
              label="Gateway's username"
              value={form.username}
              flaw={flawAt("username")}
              onInput={(username) => onChange({ username })}
            />
            <Text
              label="Gateway's password"
              value={form.password}
              type="password"
              flaw={flawAt("password")}
              onInput={(password) => onChange({ password })}
            />
          </div>
          <Headers form={form} keeps={keeps} flaw={flawAt("headers")} onChange={onChange} />
          <Text
            label="Certificate of its authority"
            rows={3}
            value={form.authority}
            placeholder="-----BEGIN CERTIFICATE-----"
            flaw={flawAt("ca_pem")}
            help="In PEM form, where it is not one that this machine trusts. It is trusted for this server alone."
            onInput={(authority) => onChange({ authority })}
          />
          {keeps && <Switch label="Forget what is stored" on={form.forget} onChange={(forget) => onChange({ forget })} />}
        </>
      )}
    </details>
  );
}

interface HeadersProps {
  form: GatewayForm;
  keeps: boolean;
  flaw: string | null;
  onChange: (next: Partial<GatewayForm>) => void;
}

function Headers({ form, keeps, flaw, onChange }: HeadersProps) {
  const id = useId();
  const common = {
    class: "input",
    type: "text",
    spellcheck: false,
    autocomplete: "off",
    autocapitalize: "off",
    "aria-describedby": flaw === null ? `${id}-help` : `${id}-flaw ${id}-help`,
  } as const;
  // The one that the words name, else all.
  const named = form.headers.find(({ name }) => name.trim() !== "" && flaw?.includes(name.trim()));
  const isWrong = (header: Header) => flaw !== null && (named === undefined || header === named);
  return (
    <div class="field" role="group" aria-labelledby={id}>
      <span class="label" id={id}>
        Headers
      </span>
      {form.headers.map((header, index) => (
        <div class="header-row" key={index}>
          <input
            {...common}
            aria-invalid={isWrong(header)}
            aria-label={`Name of header ${index + 1}`}
            placeholder="CF-Access-Client-Id"
            value={header.name}
            onInput={(event) => onChange({ headers: withHeader(form.headers, index, { name: event.currentTarget.value }) })}
          />
          <input
            {...common}
            aria-invalid={isWrong(header)}
            aria-label={`Value of header ${index + 1}`}
            placeholder="value"
            value={header.value}
            onInput={(event) => onChange({ headers: withHeader(form.headers, index, { value: event.currentTarget.value }) })}
          />
          <IconButton
            icon={X}
            label={`Remove header ${index + 1}`}
            disabled={isEmpty(header)}
            onClick={() => onChange({ headers: withoutHeader(form.headers, index) })}
          />
        </div>
      ))}
      {flaw !== null && (
        <p class="small bad" id={`${id}-flaw`} role="alert">
          {flaw}
        </p>
      )}
      <p class="small muted" id={`${id}-help`}>
        For an access gateway, such as the service token of Cloudflare Access.
        {keeps ? " Those that you give replace all that are stored." : ""}
      </p>
    </div>
  );
}

import { useEffect, useId } from "preact/hooks";
import type { Photo } from "../api/types";
import { draftOf, dropText, saveText, showText, type TextName, typeText } from "../state/photo-texts";

interface FieldProps {
  photo: Photo;
  name: TextName;
  label: string;
}

/** What a field of a photo's text shows and does: it is saved when it is left, however that comes about. */
function useText({ photo, name }: Pick<FieldProps, "photo" | "name">) {
  const { id } = photo;
  useEffect(() => showText(id, name), [id, name]);
  const draft = draftOf(id, name);
  const flaw = useId();
  return {
    text: draft?.text ?? photo[name] ?? "",
    error: draft?.error ?? null,
    flaw,
    field: {
      "aria-invalid": draft?.error != null,
      "aria-describedby": draft?.error ? flaw : undefined,
      onBlur: () => void saveText(id, name),
    },
    type: (text: string) => typeText(id, name, text),
    save: () => void saveText(id, name),
    drop: () => dropText(id, name),
  };
}

function Flaw({ id, error }: { id: string; error: string | null }) {
  return (
    error !== null && (
      <p id={id} class="small bad flaw" role="alert">
        {error}
      </p>
    )
  );
}

/** Saved when it is left, and with Ctrl+Enter. */
export function CaptionField({ photo }: { photo: Photo }) {
  const { text, error, flaw, field, type, save } = useText({ photo, name: "caption" });
  return (
    <>
      <textarea
        {...field}
        class="input caption"
        aria-label="Caption"
        placeholder="Add a caption"
        rows={2}
        maxLength={10_000}
        spellcheck
        value={text}
        onInput={(event) => type(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
          else if (event.key === "Escape") event.currentTarget.blur();
          else return;
          event.preventDefault();
        }}
      />
      <Flaw id={flaw} error={error} />
    </>
  );
}

/** Saved when it is left, and with Enter; Esc keeps the name as it was. */
export function NameField({ photo }: { photo: Photo }) {
  const { text, error, flaw, field, type, save, drop } = useText({ photo, name: "filename" });
  return (
    <div class="name-field">
      <input
        {...field}
        class="input mono"
        type="text"
        disabled={photo.deleted_at !== null}
        aria-label="File name"
        title={text}
        maxLength={255}
        spellcheck={false}
        autocomplete="off"
        value={text}
        onInput={(event) => type(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key === "Escape") {
            drop();
            event.currentTarget.value = photo.filename;
            event.currentTarget.blur();
          } else if (event.key === "Enter") save();
          else return;
          event.preventDefault();
        }}
      />
      <Flaw id={flaw} error={error} />
    </div>
  );
}

import { useRef } from "preact/hooks";
import { Link } from "wouter-preact";
import type { Photo } from "../api/types";
import { Icon } from "../components/icon";
import { X } from "../components/icons";
import { tag, untag } from "../state/marks";
import { TagInput } from "./tag-input";

interface TagsProps {
  /** With how many photos have each, where that is worth saying. */
  tags: readonly { tag: string; many?: string }[];
  label: string;
  onRemove: (tag: string) => void;
}

/** Tags as chips, each with a button that removes it. */
export function Tags({ tags, label, onRemove }: TagsProps) {
  const list = useRef<HTMLUListElement>(null);
  const remove = (tag: string, at: number) => {
    // The focus goes on to the next one, or to the field.
    const buttons = [...list.current!.querySelectorAll("button")];
    const next = buttons[at + 1] ?? buttons[at - 1] ?? list.current!.parentElement!.querySelector("input");
    if (document.activeElement === buttons[at]) next?.focus();
    onRemove(tag);
  };
  if (tags.length === 0) return null;
  return (
    <ul class="tags" aria-label={label} ref={list}>
      {tags.map(({ tag, many }, at) => (
        <li key={tag} class="tag">
          <Link href={`/?${new URLSearchParams({ tag })}`} class="ellipsis" title={`All photos tagged “${tag}”`}>
            {tag}
          </Link>
          {many && <span class="small muted">{many}</span>}
          <button type="button" aria-label={`Remove ${tag}`} title="Remove" onClick={() => remove(tag, at)}>
            <Icon of={X} />
          </button>
        </li>
      ))}
    </ul>
  );
}

/** The tags of one photo. */
export function TagField({ photo }: { photo: Photo }) {
  const { id, tags } = photo;
  return (
    <div class="tag-field">
      <Tags tags={tags.map((one) => ({ tag: one }))} label="Tags" onRemove={(one) => void untag([one], [id])} />
      <TagInput
        has={tags}
        onAdd={(added) => void tag(added, [id])}
        onBack={() => tags.length > 0 && void untag([tags.at(-1)!], [id])}
      />
    </div>
  );
}

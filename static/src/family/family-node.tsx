import { Icon } from "../components/icon";
import { ImageOff, Trash2 } from "../components/icons";
import { below } from "../lib/base";
import { madeFrom, nameOf, shortChange } from "../photo/lineage-words";
import { Picture } from "../photo/picture";
import { isMissingKey } from "../state/lineage";
import { getPhoto, spokenState } from "../state/photos";
import type { Line } from "./graph";
import type { Placed } from "./layout";

interface FamilyNodeProps {
  placed: Placed;
  /** From its sources. */
  lines: readonly Line[] | undefined;
  /** The photo that the page is about. */
  isSubject: boolean;
  /** Its changes are told. */
  isShown: boolean;
  /** Where Tab comes to; from there on the arrows lead. */
  isStop: boolean;
  href: string;
  onFocus: () => void;
  onPress: (event: MouseEvent) => void;
  onRest: () => void;
  onLeave: () => void;
}

/** A picture of the family, with what changed from its source before it. */
export function FamilyNode(props: FamilyNodeProps) {
  const { placed, lines = [], isSubject, isShown, isStop, href, onFocus, onPress, onRest, onLeave } = props;
  const { key, x, y, width, height, label } = placed;
  const photo = getPhoto(key);
  const isHere = photo !== undefined && !isMissingKey(key);
  const trashed = isHere && photo.value.deleted_at !== null;
  const first = lines.find(({ changes }) => changes !== null);
  const common = {
    class: `family-node ${isSubject ? "subject" : ""} ${isShown ? "shown" : ""} ${trashed ? "trashed" : ""}`,
    style: { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` },
    "data-key": key,
    tabIndex: isStop ? 0 : -1,
    onFocus,
    onClick: onPress,
    onPointerEnter: (event: PointerEvent) => event.pointerType === "mouse" && onRest(),
    onPointerLeave: onLeave,
  };
  return (
    <li>
      {label && first && (
        <span
          class={`family-label small ${label.beside ? "beside" : ""} ${placed.block === null ? "" : "in-block"}`}
          style={{ left: `${label.x}px`, top: `${label.y}px`, width: `${label.width}px`, height: `${label.height}px` }}
          aria-hidden="true"
        >
          <span>{shortChange(first)}</span>
        </span>
      )}
      {isHere ? (
        <a
          {...common}
          href={below(href)}
          draggable={false}
          aria-current={isSubject ? "true" : undefined}
          aria-label={[
            spokenState(photo.value),
            ...(isSubject ? ["this photo"] : []),
            ...(trashed ? ["in the trash"] : []),
            ...lines.map(({ from, roles, changes }) => madeFrom(sourceName(from), roles[0]!, changes)),
          ].join("; ")}
          data-testid="lineage-node"
          data-photo={key}
        >
          <Picture photo={photo} />
          {trashed && (
            <span class="family-trash" title="In the trash">
              <Icon of={Trash2} />
            </span>
          )}
        </a>
      ) : (
        <button
          {...common}
          type="button"
          class={`${common.class} missing`}
          aria-label="A source that is not here any more"
          data-testid="lineage-missing"
        >
          <Icon of={ImageOff} />
          <span class="small">Not here any more</span>
        </button>
      )}
    </li>
  );
}

export function sourceName(key: string): string {
  return isMissingKey(key) ? "a source that is not here any more" : nameOf(key);
}

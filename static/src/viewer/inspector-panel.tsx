import { useEffect } from "preact/hooks";
import { inspectorOpen } from "../app/preferences";
import { isWide } from "../app/responsive";
import { Picture } from "../library/picture";
import { Icon, IconButton } from "../shell/icon";
import { Info, X } from "../shell/icons";
import { Inspector } from "./inspector";
import { usePhoto } from "./use-photo";

/** Of its picture, at most. */
const WIDTH = 288;

/** The inspector beside the library: a column where there is room, else it slides over. */
export function InspectorPanel({ id }: { id: string | null }) {
  const { photo } = usePhoto(id);
  useEffect(() => {
    if (!isWide.peek()) inspectorOpen.value = false;
  }, []);
  if (!inspectorOpen.value) return null;
  return (
    <aside class="inspector scroll" aria-label="Info">
      <IconButton class="inspector-close" icon={X} label="Close" keys="i" onClick={() => (inspectorOpen.value = false)} />
      {photo ? (
        <>
          <div
            class="inspector-picture"
            style={{ aspectRatio: `${photo.value.width} / ${photo.value.height}` }}
            key={photo.value.id}
          >
            <Picture photo={photo} box={{ width: WIDTH, height: (WIDTH * photo.value.height) / photo.value.width }} />
          </div>
          <Inspector photo={photo} key={`facts-${photo.value.id}`} />
        </>
      ) : (
        <div class="inspector-none">
          <Icon of={Info} />
          <p>Move onto a picture with the arrow keys, or choose one by its circle, to see its info.</p>
        </div>
      )}
    </aside>
  );
}

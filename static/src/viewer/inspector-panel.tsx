import { useEffect } from "preact/hooks";
import { inspectorOpen } from "../app/preferences";
import { isWide } from "../app/responsive";
import { Picture } from "../library/picture";
import { Icon } from "../shell/icon";
import { Info } from "../shell/icons";
import { Inspector } from "./inspector";
import { InspectorFrame } from "./inspector-frame";
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
    <InspectorFrame>
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
    </InspectorFrame>
  );
}

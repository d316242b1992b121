import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { IconButton } from "../components/icon";
import { Maximize, Minus, Plus } from "../components/icons";
import { useKeys } from "../lib/keys";
import { usePhotoAddress } from "../lib/navigation";
import { isPhone } from "../lib/responsive";
import { roleWords } from "../photo/lineage-words";
import { isMissingKey, type Lineage } from "../state/lineage";
import { getPhoto } from "../state/photos";
import { Viewer } from "../viewer/viewer";
import { FamilyNode } from "./family-node";
import { FamilyPanel } from "./family-panel";
import { graphOf } from "./graph";
import { type Direction, type Layout, layOutFamily } from "./layout";
import { neighbourOf } from "./neighbours";
import { useView } from "./use-view";

/** A mouse that rests so long on a picture shows what changed. */
const DWELL_MS = 200;

const nothingMore = async () => undefined;

/** Of a source that is not here, nothing is known: its frame is square. */
function ratioOf(key: string): number {
  const photo = getPhoto(key)?.peek();
  return photo && photo.width > 0 && photo.height > 0 ? photo.width / photo.height : 1;
}

/** The drawing, which is panned and zoomed; beside it what changed in the picture that is looked at. */
export function FamilyView({ lineage }: { lineage: Lineage }) {
  const direction: Direction = isPhone.value ? "down" : "across";
  const graph = useMemo(() => graphOf(lineage), [lineage]);
  const layout = useMemo(() => layOutFamily(graph, ratioOf, direction), [graph, direction]);
  const [, navigate] = useLocation();
  const address = usePhotoAddress();
  const frame = useRef<HTMLDivElement>(null);
  const drawing = useRef<HTMLDivElement>(null);
  const isPlaced = (key: string) => layout.placed.has(key);
  const [chosenStop, setStop] = useState(lineage.id);
  const [chosenShown, setShown] = useState(lineage.id);
  /** Where Tab comes to the family, and whose changes are told. */
  const stop = isPlaced(chosenStop) ? chosenStop : lineage.id;
  const shown = isPlaced(chosenShown) ? chosenShown : stop;
  const { isFar, zoom, fit, reveal } = useView(frame, drawing, layout, stop);
  const dwelling = useRef<ReturnType<typeof setTimeout>>();
  const pressed = useRef({ isTouch: false, shown });

  useEffect(() => () => clearTimeout(dwelling.current), []);

  const focus = (key: string) => drawing.current?.querySelector<HTMLElement>(`[data-key="${key}"]`)?.focus({ preventScroll: true });
  const enter = (key: string) => {
    setStop(key);
    setShown(key);
    const placed = layout.placed.get(key);
    if (placed) reveal(placed);
  };
  // Opened, the page has the focus on its photo; a picture that leaves the family gives it to what stands for it then.
  const hasFocus = useRef(true);
  useEffect(() => {
    const ending = new AbortController();
    // Nothing is told of a focus whose element was removed: it is held until another has it.
    const note = ({ target }: Event) => {
      hasFocus.current = target instanceof Element && target.closest(".family-node") !== null;
    };
    for (const name of ["focusin", "pointerdown"]) document.addEventListener(name, note, { signal: ending.signal });
    return () => ending.abort();
  }, []);
  useLayoutEffect(() => {
    const isIn = drawing.current!.contains(document.activeElement);
    if (address.shown === null && hasFocus.current && !isIn) focus(stop);
  }, [layout]);
  // The viewer gives it back to what it was opened from; meanwhile it may have gone on.
  const wasOpen = useRef(address.shown !== null);
  useEffect(() => {
    if (wasOpen.current && address.shown === null) focus(stop);
    wasOpen.current = address.shown !== null;
  }, [address.shown]);

  const centre = (key: string) => {
    if (!isMissingKey(key) && key !== lineage.id) navigate(`/photo/${key}/family`, { state: { opened: true } });
  };
  const walk = (event: KeyboardEvent) => {
    const here = (document.activeElement as HTMLElement | null)?.dataset.key;
    focus((here && neighbourOf(graph, layout, here, event.key)) || stop);
  };
  useKeys({
    ArrowLeft: walk,
    ArrowRight: walk,
    ArrowUp: walk,
    ArrowDown: walk,
    Home: () => focus(lineage.id),
    c: () => centre((document.activeElement as HTMLElement | null)?.dataset.key ?? shown),
    "+": () => zoom(1),
    "-": () => zoom(-1),
    "0": fit,
  });

  const press = (key: string, event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    // A finger sees the changes first; a mouse has seen them.
    const isFirst = pressed.current.isTouch && event.detail > 0 && pressed.current.shown !== key;
    if (isFirst || isMissingKey(key)) return enter(key);
    setStop(key);
    setShown(key);
    address.open(key);
  };

  return (
    <div class="family">
      <section
        ref={frame}
        class={`family-window ${isFar.value ? "far" : ""}`}
        aria-label="Family"
        onPointerDownCapture={(event) => {
          pressed.current = { isTouch: event.pointerType !== "mouse", shown };
        }}
      >
        <div ref={drawing} class="family-drawing" style={{ width: `${layout.width}px`, height: `${layout.height}px` }}>
          {layout.blocks.map((block) => (
            <i
              key={`${block.x} ${block.y}`}
              class="family-block"
              style={{ left: `${block.x}px`, top: `${block.y}px`, width: `${block.width}px`, height: `${block.height}px` }}
            />
          ))}
          <Lines layout={layout} shown={shown} onShow={setShown} />
          <ul aria-label="From ancestors to descendants">
            {layout.order.map((key) => (
              <FamilyNode
                key={key}
                placed={layout.placed.get(key)!}
                lines={graph.parents.get(key)}
                isSubject={key === lineage.id}
                isShown={key === shown}
                isStop={key === stop}
                href={address.addressOf(key)}
                onFocus={() => enter(key)}
                onPress={(event) => press(key, event)}
                onRest={() => {
                  clearTimeout(dwelling.current);
                  dwelling.current = setTimeout(() => setShown(key), DWELL_MS);
                }}
                onLeave={() => clearTimeout(dwelling.current)}
              />
            ))}
          </ul>
        </div>
        <div class="family-zoom" role="group" aria-label="Zoom">
          <IconButton icon={Plus} label="Zoom in" keys="+" onClick={() => zoom(1)} />
          <IconButton icon={Minus} label="Zoom out" keys="-" onClick={() => zoom(-1)} />
          <IconButton icon={Maximize} label="Show all" keys="0" onClick={fit} />
        </div>
        {lineage.truncated && (
          <p class="family-note small" role="status" data-testid="family-truncated">
            The family is larger than this: the {lineage.ids.length} nearest are drawn. To see others, put another photo in the
            centre.
          </p>
        )}
      </section>
      <FamilyPanel
        subject={shown}
        graph={graph}
        isCentre={shown === lineage.id}
        onOpen={() => address.open(shown)}
        onCentre={() => centre(shown)}
        onGo={focus}
      />
      {address.shown && (
        <Viewer
          ids={layout.order.filter((key) => !isMissingKey(key))}
          shown={address.shown}
          more={false}
          onMore={nothingMore}
          onMove={(key) => {
            setStop(key);
            setShown(key);
            address.move(key);
          }}
          onClose={address.close}
        />
      )}
    </div>
  );
}

/** The lines, and a word on those that are not what a picture began from. */
function Lines({ layout, shown, onShow }: { layout: Layout; shown: string; onShow: (key: string) => void }) {
  return (
    <svg class="family-lines" width={layout.width} height={layout.height} aria-hidden="true">
      <defs>
        <marker id="family-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
          <path d="M1 1L7 4L1 7" />
        </marker>
      </defs>
      {layout.drawn.map(({ line, path }) => (
        <g key={line.key} class={line.from === shown || line.to === shown ? "near" : ""}>
          <path class="line" d={path} marker-end="url(#family-arrow)" />
          {/* biome-ignore lint/a11y/noStaticElementInteractions: the same is told of the picture that it leads to */}
          <path class="reach" d={path} onClick={() => onShow(line.to)} />
        </g>
      ))}
      {layout.drawn.map(({ line, middle }) => {
        const words = line.roles.map(roleWords).filter((role) => role !== null);
        return words.length > 0 ? (
          <text key={line.key} x={middle.x} y={middle.y} class="role">
            {words.join(", ")}
          </text>
        ) : null;
      })}
    </svg>
  );
}

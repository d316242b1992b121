// The viewer's stage: PhotoSwipe, without its own controls. The only place that uses its private `_cachedItems`.

import { effect, type ReadonlySignal, untracked } from "@preact/signals";
import type PhotoSwipe from "photoswipe";
import type { SlideData } from "photoswipe";
import { h, render } from "preact";
import { isPhone, isStill } from "../lib/responsive";
import { needsOriginal, standIn, wholeRendition } from "../photo/renditions";
import { getPhoto, isHome, photoName } from "../state/photos";
import { Absent, Unloaded } from "./absent";
import { FIT_MS, followPointer, keepView, moveSmoothly } from "./stage-zoom";
import { closeLevel, fitLevel } from "./zoom";

/** What the stage asks of the page around it. */
interface StageHost {
  element: HTMLElement;
  /** What to show first. */
  begin: () => { ids: readonly string[]; index: number };
  /** Room kept free above and below the picture, in pixels. */
  room: () => { above: number; below: number };
  /** Swiped to another photo. */
  onShow: (id: string) => void;
  onTap: () => void;
  /** Dragged or pinched away. */
  onClose: () => void;
}

export interface Stage {
  /** Of the picture on show: 1 is 100 %. Null where there is nothing to zoom. */
  zoom: ReadonlySignal<number | null>;
  /** From the fitting picture to 100 % and back, at the pointer. */
  toggleZoom: () => void;
  /** The window or the room around the picture has changed; `smoothly` where nothing else moves. */
  fit: (smoothly: boolean) => void;
  /** Shows one of these photos, and each of them as soon as it is home, until the returned function is called. */
  show: (ids: readonly string[], index: number) => () => void;
  /** Tries again what could not be loaded. */
  retry: () => void;
  /** Takes the stage down without a word to the host. */
  leave: () => void;
}

type Slide = NonNullable<PhotoSwipe["currSlide"]>;
type Content = Slide["content"];

const ABSENT = "absent";
/** So many photos on either side are made ready. */
const NEAR = 2;
const MOST = 8;

/** Photos whose large rendition could not be loaded: their originals are shown. */
const withoutRendition = new Set<string>();

function slideOf(id: string | undefined): SlideData {
  const photo = id === undefined ? undefined : getPhoto(id)?.peek();
  if (!photo || !isHome(photo)) return { type: ABSENT, photo: id };
  const rendition = withoutRendition.has(photo.id) ? undefined : wholeRendition(photo);
  const src = rendition?.url ?? photo.url;
  return { photo: id, src, rendition, msrc: standIn(photo), width: photo.width, height: photo.height, alt: photoName(photo) };
}

/** Is this not what there is to see of that photo now? */
function isStale({ data, type }: Content, id: string | undefined): boolean {
  return data.photo !== id || (type === ABSENT && slideOf(id).type !== ABSENT);
}

/** Loads the stage's code ahead, so that the viewer opens at once, and also while Darkroom is away. */
export function preloadStage(): void {
  void import("photoswipe").catch(() => undefined);
}

/** Pan, zoom, pinch and swipe over a list of photos: PhotoSwipe, without its own controls. */
export async function openStage(host: StageHost): Promise<Stage> {
  const { default: Swipe } = await import("photoswipe");
  const { ids, index } = host.begin();
  let held = ids;
  const stage = new Swipe({
    appendToEl: host.element,
    index,
    getViewportSizeFn: () => ({ x: host.element.clientWidth, y: host.element.clientHeight }),
    paddingFn: () => ({ top: host.room().above, bottom: host.room().below, left: 0, right: 0 }),
    showHideAnimationType: "none",
    bgOpacity: 1,
    loop: false,
    wheelToZoom: true,
    initialZoomLevel: ({ elementSize, panAreaSize }) => fitLevel(elementSize!, panAreaSize!),
    secondaryZoomLevel: ({ initial }) => closeLevel(initial),
    maxZoomLevel: ({ initial }) => Math.max(MOST, 2 * initial),
    zoomAnimationDuration: isStill.peek() ? 0 : FIT_MS,
    imageClickAction: false,
    bgClickAction: false,
    tapAction: host.onTap,
    doubleTapAction: "zoom",
    clickToCloseNonZoomable: false,
    arrowPrev: false,
    arrowNext: false,
    close: false,
    zoom: false,
    counter: false,
    escKey: false,
    arrowKeys: false,
    trapFocus: false,
    returnFocus: false,
    preload: [1, 2],
  });
  stage.addFilter("numItems", () => held.length);
  stage.addFilter("itemData", (_none, at) => slideOf(held[at]));
  stage.on("contentLoad", (event) => {
    if (event.content.type !== ABSENT) return;
    event.preventDefault();
    showAbsent(event.content);
  });
  stage.on("zoomPanUpdate", ({ slide }) => showOriginalWhereNeeded(slide));
  stage.on("slideActivate", ({ slide }) => showOriginalWhereNeeded(slide));
  stage.on("loadComplete", ({ content, isError }) => {
    if (!isError || content.data.rendition === undefined || content.data.showsOriginal) return;
    withoutRendition.add(content.data.photo as string);
    stage.refreshSlideContent(content.index);
  });
  // PhotoSwipe takes a picture that is enlarged to fit for one that is zoomed.
  stage.on("zoomLevelsUpdate", ({ zoomLevels }) => (zoomLevels.fit = zoomLevels.initial));
  // The thumbnail stands in for every picture until it is there, and where it does not come.
  stage.addFilter("placeholderSrc", (_none, content) => content.data.msrc ?? false);
  stage.addFilter("contentErrorElement", (_words, content) => showUnloaded(content));
  // The page has its own keys; the stage would swallow the arrows.
  stage.on("keydown", (event) => event.preventDefault());
  let leaving = false;
  const kept = keepView(stage, () => middleOf(host));
  stage.on("change", () => {
    const id = held[stage.currIndex];
    if (id !== undefined && !leaving) host.onShow(id);
  });
  stage.on("close", () => {
    if (!leaving) host.onClose();
  });
  stage.init();
  // The dialog is the viewer around it.
  stage.element?.removeAttribute("role");
  zoomByDoubleClick(stage);
  const pointer = followPointer(host.element);

  const update = (now: readonly string[], at: number) => {
    const from = stage.currIndex;
    const stays = stage.currSlide?.data.photo === now[at];
    held = now;
    if (stays && from !== at) renumber(stage, at - from);
    if (stage.currIndex !== at) stage.goTo(at);
    redraw(stage, (content) => isStale(content, now[content.index]), now);
    kept.restore();
  };
  return {
    zoom: kept.zoom,
    toggleZoom: () => stage.currSlide?.toggleZoom(pointer() ?? undefined),
    fit: (smoothly) => (smoothly && !isStill.peek() ? moveSmoothly(stage) : stage.updateSize(true)),
    show: (now, at) =>
      effect(() => {
        for (const id of now.slice(Math.max(0, at - NEAR), at + NEAR + 1)) void getPhoto(id)?.value;
        untracked(() => update(now, at));
      }),
    retry: () => {
      redraw(stage, (content) => content.isError(), held);
      kept.restore();
    },
    leave: () => {
      leaving = true;
      stage.destroy();
    },
  };
}

/** Puts the original in the place of its rendition once that is not enough. */
function showOriginalWhereNeeded(slide: Slide | undefined): void {
  if (slide === undefined || !slide.isActive) return;
  const { content } = slide;
  const { data, element } = content;
  const photo = getPhoto(data.photo as string)?.peek();
  if (!photo || data.rendition === undefined || data.showsOriginal || !(element instanceof HTMLImageElement)) return;
  const zoom = { level: slide.currZoomLevel, fit: slide.zoomLevels.initial, pixelRatio: devicePixelRatio, isPhone: isPhone.peek() };
  if (!needsOriginal(photo, data.rendition, zoom)) return;
  data.showsOriginal = true;
  const original = new Image();
  original.src = photo.url;
  // Where it cannot be had, the rendition stays.
  original.decode().then(
    () => {
      if (content.element === element) element.src = original.src;
    },
    () => (data.showsOriginal = false),
  );
}

/** The middle of the area that a picture fits. */
function middleOf(host: StageHost): { x: number; y: number } {
  const { above, below } = host.room();
  return { x: host.element.clientWidth / 2, y: above + (host.element.clientHeight - above - below) / 2 };
}

/** PhotoSwipe hears a double tap, but of a mouse only single clicks. */
function zoomByDoubleClick(stage: PhotoSwipe): void {
  // The first click of two may have been the one that opened the viewer.
  let begun = false;
  stage.element?.addEventListener("click", (event) => {
    const { detail, pointerType, target, pageX, pageY } = event as PointerEvent;
    const onPicture = pointerType !== "touch" && target instanceof Element && target.matches(".pswp__img");
    if (detail === 2 && begun && onPicture) stage.currSlide?.toggleZoom({ x: pageX - stage.offset.x, y: pageY - stage.offset.y });
    begun = detail === 1 && onPicture;
  });
}

/** The list changed before the shown photo: its slide, and those around it, have other numbers now. */
function renumber(stage: PhotoSwipe, by: number): void {
  for (const content of stage.contentLoader._cachedItems) content.index += by;
  for (const { slide } of stage.mainScroll.itemHolders) if (slide) slide.index += by;
  stage.currIndex += by;
  stage.potentialIndex += by;
}

/** PhotoSwipe keeps slides by number, though the list may have changed since. */
function redraw(stage: PhotoSwipe, isWrong: (content: Content) => boolean, ids: readonly string[]): void {
  for (const content of [...stage.contentLoader._cachedItems]) if (isWrong(content)) stage.refreshSlideContent(content.index);
  // Where the list has grown, a place beside the shown photo was empty.
  for (const at of [stage.currIndex - 1, stage.currIndex + 1]) {
    if (ids[at] !== undefined && !stage.contentLoader.getContentByIndex(at)) stage.refreshSlideContent(at);
  }
  stage.contentLoader.updateLazy();
}

/** A file that does not come: its thumbnail, and why. */
function showUnloaded(content: Content): HTMLElement {
  const element = document.createElement("div");
  element.className = "absent";
  const photo = getPhoto(content.data.photo as string);
  if (photo) render(h(Unloaded, { photo }), element);
  return element;
}

/** A photo that is not home: what there is of it, until it is. */
function showAbsent(content: Content): void {
  const element = document.createElement("div");
  element.className = "absent";
  content.element = element;
  const photo = getPhoto(content.data.photo as string);
  if (photo) render(h(Absent, { photo }), element);
}

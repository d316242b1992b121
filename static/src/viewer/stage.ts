import { effect } from "@preact/signals";
import type PhotoSwipe from "photoswipe";
import type { SlideData } from "photoswipe";
import { h, render } from "preact";
import { getPhoto, isHome, photoName } from "../state/photos";
import { Absent } from "./absent";

/** What the stage asks of the page around it. */
interface StageHost {
  element: HTMLElement;
  ids: () => readonly string[];
  /** Room kept free below the picture, in pixels. */
  below: () => number;
  /** Swiped to another photo. */
  onShow: (id: string) => void;
  onTap: () => void;
  /** Dragged or pinched away. */
  onClose: () => void;
}

export interface Stage {
  swipe: PhotoSwipe;
  /** Takes the stage down without a word to the host. */
  leave: () => void;
}

type Content = NonNullable<PhotoSwipe["currSlide"]>["content"];

const ABSENT = "absent";

function slideOf(id: string | undefined): SlideData {
  const photo = id === undefined ? undefined : getPhoto(id)?.peek();
  if (!photo) return { type: ABSENT };
  if (!isHome(photo)) return { type: ABSENT, photo: photo.id };
  return { src: photo.url, msrc: photo.thumbnail_url, width: photo.width, height: photo.height, alt: photoName(photo) };
}

/** Pan, zoom, pinch and swipe over a list of photos: PhotoSwipe, without its own controls. */
export async function openStage(host: StageHost, index: number): Promise<Stage> {
  const { default: Swipe } = await import("photoswipe");
  const stage = new Swipe({
    appendToEl: host.element,
    index,
    getViewportSizeFn: () => ({ x: host.element.clientWidth, y: host.element.clientHeight }),
    paddingFn: () => ({ top: 0, bottom: host.below(), left: 0, right: 0 }),
    showHideAnimationType: "none",
    bgOpacity: 1,
    loop: false,
    wheelToZoom: true,
    initialZoomLevel: "fit",
    secondaryZoomLevel: 1,
    maxZoomLevel: 8,
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
    errorMsg: "The file cannot be shown.",
    preload: [1, 2],
  });
  stage.addFilter("numItems", () => host.ids().length);
  stage.addFilter("itemData", (_none, at) => slideOf(host.ids()[at]));
  stage.on("contentLoad", (event) => {
    if (event.content.type !== ABSENT) return;
    event.preventDefault();
    showAbsent(event.content);
  });
  // The page has its own keys; the stage would swallow the arrows.
  stage.on("keydown", (event) => event.preventDefault());
  let leaving = false;
  stage.on("change", () => {
    const id = host.ids()[stage.currIndex];
    if (id !== undefined && !leaving) host.onShow(id);
  });
  stage.on("close", () => {
    if (!leaving) host.onClose();
  });
  stage.init();
  // The dialog is the viewer around it.
  stage.element?.removeAttribute("role");
  return {
    swipe: stage,
    leave: () => {
      leaving = true;
      stage.destroy();
    },
  };
}

/** A photo that is not home: what there is of it, until it is. */
function showAbsent(content: Content): void {
  const element = document.createElement("div");
  element.className = "absent";
  content.element = element;
  const photo = getPhoto(content.data.photo as string);
  if (photo) render(h(Absent, { photo }), element);
}

/** Redraws a slide as soon as its photo has come home. */
export function followArrival(swipe: PhotoSwipe, id: string, index: number): () => void {
  const photo = getPhoto(id);
  if (!photo || isHome(photo.peek())) return () => undefined;
  return effect(() => {
    if (isHome(photo.value)) swipe.refreshSlideContent(index);
  });
}

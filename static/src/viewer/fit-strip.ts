/** So many thumbnails of relatives have room beside the photo's own, "+12" counted as one. */
const CELLS = 5;
/** Parents have so many of them where both have more. */
const FOR_PARENTS = 2;

interface Fitted {
  parents: readonly string[];
  children: readonly string[];
  /** How many are left out. */
  moreParents: number;
  moreChildren: number;
}

/** The relatives that a strip has room for: those nearest to the photo's own place in it. */
export function fitStrip(parents: readonly string[], children: readonly string[]): Fitted {
  const forParents = Math.min(parents.length, Math.max(FOR_PARENTS, CELLS - children.length));
  const forChildren = CELLS - forParents;
  const cut = (all: readonly string[], room: number) => (all.length <= room ? all : all.slice(0, room - 1));
  const shownParents = cut(parents, forParents);
  const shownChildren = cut(children, forChildren);
  return {
    parents: shownParents,
    children: shownChildren,
    moreParents: parents.length - shownParents.length,
    moreChildren: children.length - shownChildren.length,
  };
}

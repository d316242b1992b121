import { signal } from "@preact/signals";
import { describe, expect, it } from "vitest";
import { createSelection } from "./selection";

/** Newest first, as a list has them; `more` are not loaded. */
function listed(ids: string[], more: boolean) {
  const list = { ids: signal<readonly string[]>(ids), more: signal(more) };
  const selection = createSelection(list);
  selection.follow();
  return { list, selection, chosen: () => [...selection.chosen.value] };
}

describe("all of a list that is not loaded whole", () => {
  it("is chosen with what is loaded later, and without what comes since", () => {
    const { list, selection, chosen } = listed(["p8", "p6", "p4"], true);
    selection.chooseAll();
    list.ids.value = ["p9", "p8", "p7", "p6", "p4", "p2"];
    expect(chosen()).toEqual(["p8", "p6", "p4", "p2"]);
    expect(selection.everything.value).toMatchObject({ newest: "p8", late: new Set(["p7"]), left: 0 });
  });

  it("is chosen but for those taken out, which can be put in again", () => {
    const { selection, chosen } = listed(["p8", "p6", "p4"], true);
    selection.chooseAll();
    selection.toggle("p6");
    expect(chosen()).toEqual(["p8", "p4"]);
    expect(selection.everything.value?.except).toEqual(new Set(["p6"]));
    selection.toggle("p6");
    expect(chosen()).toEqual(["p8", "p6", "p4"]);
  });

  it("counts what leaves, once, chosen or taken out", () => {
    const { list, selection } = listed(["p8", "p6", "p4"], true);
    selection.chooseAll();
    selection.toggle("p6");
    list.ids.value = ["p8"];
    expect(selection.everything.value).toMatchObject({ except: new Set(), left: 2 });
  });

  it("takes in a newer one that is chosen by hand, and no other", () => {
    const { list, selection, chosen } = listed(["p4"], true);
    selection.chooseAll();
    list.ids.value = ["p9", "p8", "p7", "p4"];
    selection.toggle("p8");
    expect(chosen()).toEqual(["p8", "p4"]);
    expect(selection.everything.value).toMatchObject({ newest: "p8", left: -1 });
  });

  it("is let go of when the list is empty, or asked to", () => {
    const { list, selection } = listed(["p4"], true);
    selection.chooseAll();
    list.ids.value = [];
    expect(selection.choosing.value).toBe(false);
    list.ids.value = ["p4"];
    selection.chooseAll();
    selection.clear();
    expect(selection.choosing.value).toBe(false);
  });
});

it("names each photo where all are loaded, and forgets those that leave", () => {
  const { list, selection, chosen } = listed(["p8", "p6", "p4"], false);
  selection.chooseAll();
  expect(selection.everything.value).toBeNull();
  list.ids.value = ["p9", "p8", "p4"];
  expect(chosen()).toEqual(["p8", "p4"]);
  selection.drop(["p8", "p4"]);
  expect(selection.choosing.value).toBe(false);
});

import { dayKey } from "../app/format";
import { toast } from "../app/toasts";
import type { PhotoList } from "../state/photo-list";
import { getPhoto } from "../state/photos";
import type { Selection } from "./selection";

/** Chooses or drops the whole day, and reads on for what of it is not loaded yet. */
export async function chooseDay(list: PhotoList, selection: Selection, key: string, wanted: boolean): Promise<void> {
  const isOf = (id: string | undefined) => {
    const photo = id === undefined ? undefined : getPhoto(id)?.peek();
    return photo !== undefined && dayKey(photo.created_at) === key;
  };
  const take = () => (wanted ? selection.choose : selection.drop)(list.ids.peek().filter(isOf));
  take();
  while (list.more.peek() && isOf(list.ids.peek().at(-1))) {
    const before = list.ids.peek().length;
    await list.loadMore();
    if (list.error.peek() !== null || list.ids.peek().length === before)
      return void toast("The rest of this day could not be read.", { tone: "bad" });
    // Let go of meanwhile.
    if (!selection.choosing.peek()) return;
    take();
  }
}

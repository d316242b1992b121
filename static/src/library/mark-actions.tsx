import type { Photo } from "../api/types";
import { Flag, Star, Tag } from "../components/icons";
import { Popup } from "../components/popup";
import { Flags } from "../photo/photo-marks";
import { Stars } from "../photo/stars";
import { Tags } from "../photo/tag-field";
import { TagInput } from "../photo/tag-input";
import type { All } from "../state/bulk";
import { flag, rate, tag, untag } from "../state/marks";
import { getPhoto } from "../state/photos";
import { countTags } from "../state/tags";

interface MarkActionsProps {
  ids: readonly string[];
  all: All | null;
}

/** As many of the tags as fit in a small panel. */
const MOST_SHOWN = 30;

/** Rating, flag and tags of all that is chosen. */
export function MarkActions({ ids, all }: MarkActionsProps) {
  return (
    <>
      <Popup icon={Star} label="Rate" words="Rate">
        {(close) => <Rating ids={ids} all={all} onDone={close} />}
      </Popup>
      <Popup icon={Flag} label="Flag" words="Flag">
        {(close) => <Flagging ids={ids} all={all} onDone={close} />}
      </Popup>
      <Popup icon={Tag} label="Tags" words="Tags">
        {() => <Tagging ids={ids} all={all} />}
      </Popup>
    </>
  );
}

function photosOf(ids: readonly string[]): Photo[] {
  return ids.map((id) => getPhoto(id)?.value).filter((photo) => photo !== undefined);
}

/** What all of them have; `otherwise` where they differ, or not all are known. */
function common<T>({ ids, all }: MarkActionsProps, of: (photo: Photo) => T, otherwise: T): T {
  const [first, ...others] = photosOf(ids).map(of);
  if (first === undefined || (all?.list.more.value ?? false)) return otherwise;
  return others.every((value) => value === first) ? first : otherwise;
}

function Rating({ ids, all, onDone }: MarkActionsProps & { onDone: () => void }) {
  const choose = (rating: number) => {
    onDone();
    void rate(rating, ids, all);
  };
  return (
    <div class="popup-row">
      <Stars rating={common({ ids, all }, ({ rating }) => rating, 0)} label="Rating" onRate={choose} />
      <button type="button" class="button quiet" title="No rating (0)" onClick={() => choose(0)}>
        None
      </button>
    </div>
  );
}

function Flagging({ ids, all, onDone }: MarkActionsProps & { onDone: () => void }) {
  const choose = (pick: Photo["pick"]) => {
    onDone();
    void flag(pick, ids, all);
  };
  return (
    <div class="popup-row">
      <Flags flag={common<Photo["pick"]>({ ids, all }, ({ pick }) => pick, null)} onFlag={choose} />
      <button type="button" class="button quiet" title="No flag (u)" onClick={() => choose(null)}>
        None
      </button>
    </div>
  );
}

function Tagging({ ids, all }: MarkActionsProps) {
  const photos = photosOf(ids);
  const counts = countTags(photos).slice(0, MOST_SHOWN);
  const isWhole = !all?.list.more.value;
  const shared = counts.filter(([, many]) => isWhole && many === photos.length).map(([one]) => one);
  return (
    <div class="popup-tags">
      <TagInput has={shared} onAdd={(tags) => void tag(tags, ids, all)} />
      <Tags
        tags={counts.map(([one, many]) => ({ tag: one, ...(photos.length > 1 && isWhole && { many: `${many}` }) }))}
        label="Tags of these photos"
        onRemove={(one) => void untag([one], ids, all)}
      />
    </div>
  );
}

import { Star } from "../components/icons";
import { Popup } from "../components/popup";
import { starsWords } from "../lib/format";
import { Stars } from "../photo/stars";
import type { FlagFilter, PhotoFilter } from "../state/photo-filter";

interface MarkFilterProps {
  filter: PhotoFilter;
  onFilter: (change: Partial<PhotoFilter>) => void;
}

const FLAGS: { value: FlagFilter; label: string }[] = [
  { value: "pick", label: "Picked" },
  { value: "none", label: "Unflagged" },
  { value: "reject", label: "Rejected" },
];

/** Shows only what has so many stars, or one of these flags. */
export function MarkFilter({ filter, onFilter }: MarkFilterProps) {
  const { ratingMin, flags } = filter;
  const toggle = (value: FlagFilter) => {
    const wanted = FLAGS.map((one) => one.value).filter((one) => (flags?.includes(one) ?? false) !== (one === value));
    // All of them or none: any flag, or no flag.
    onFilter({ flags: wanted.length % FLAGS.length === 0 ? null : wanted });
  };
  return (
    <Popup icon={Star} label="Rating and flag" class="mark-filter" pressed={ratingMin !== null || flags !== null}>
      {() => (
        <div class="filter-marks">
          <div class="popup-row">
            <Stars
              rating={ratingMin ?? 0}
              label="At least this rating"
              onRate={(stars) => onFilter({ ratingMin: stars || null })}
            />
            <span class="small muted">
              {ratingMin === null ? "Any rating" : ratingMin === 5 ? starsWords(5) : `${starsWords(ratingMin)} or more`}
            </span>
          </div>
          <div class="segments" role="group" aria-label="Flag">
            {FLAGS.map(({ value, label }) => (
              <button key={value} type="button" aria-pressed={flags?.includes(value) ?? false} onClick={() => toggle(value)}>
                {label}
              </button>
            ))}
          </div>
        </div>
      )}
    </Popup>
  );
}

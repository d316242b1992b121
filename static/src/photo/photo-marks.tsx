import type { Photo, PhotoFlag } from "../api/types";
import { IconButton } from "../components/icon";
import { Flag, FlagOff, Heart } from "../components/icons";
import { flag, rate, toggleFavorite } from "../state/marks";
import { Stars } from "./stars";

/** Stars, flag and heart of one photo. */
export function PhotoMarks({ photo, hasHeart = false }: { photo: Photo; hasHeart?: boolean }) {
  const { id } = photo;
  return (
    <div class="photo-marks">
      <Stars rating={photo.rating} label="Rating" onRate={(rating) => void rate(rating, [id])} />
      <Flags flag={photo.pick} onFlag={(pick) => void flag(pick, [id])} />
      {hasHeart && (
        <IconButton
          class="favorite"
          icon={Heart}
          label="Favourite"
          keys="f"
          pressed={photo.favorite}
          onClick={() => toggleFavorite(id)}
        />
      )}
    </div>
  );
}

interface FlagsProps {
  flag: PhotoFlag;
  onFlag: (flag: PhotoFlag) => void;
}

/** Picked, rejected or neither; a press on the one that is set takes it away again. */
export function Flags({ flag, onFlag }: FlagsProps) {
  return (
    <div class="flags" role="group" aria-label="Flag">
      <IconButton
        icon={Flag}
        class="flag pick"
        label="Pick"
        keys="p"
        pressed={flag === "pick"}
        onClick={() => onFlag(flag === "pick" ? null : "pick")}
      />
      <IconButton
        icon={FlagOff}
        class="flag reject"
        label="Reject"
        keys="x"
        pressed={flag === "reject"}
        onClick={() => onFlag(flag === "reject" ? null : "reject")}
      />
    </div>
  );
}

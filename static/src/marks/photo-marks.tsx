import type { Photo } from "../api/types";
import { IconButton } from "../shell/icon";
import { Heart } from "../shell/icons";
import { flag, rate, toggleFavorite } from "../state/marks";
import { Flags } from "./flags";
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

import type { Album } from "../api/types";
import { Picture } from "../library/picture";
import { Icon } from "../shell/icon";
import { BookImage } from "../shell/icons";
import { usePhoto } from "../viewer/use-photo";

/** The picture that stands for an album. */
export function Cover({ album }: { album: Album }) {
  const { photo } = usePhoto(album.cover_photo_id);
  return <span class="album-cover">{photo ? <Picture photo={photo} key={photo.value.id} /> : <Icon of={BookImage} />}</span>;
}

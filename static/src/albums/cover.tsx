import type { Album } from "../api/types";
import { Icon } from "../components/icon";
import { BookImage } from "../components/icons";
import { Picture } from "../photo/picture";
import { usePhoto } from "../photo/use-photo";

/** The picture that stands for an album. */
export function Cover({ album }: { album: Album }) {
  const { photo } = usePhoto(album.cover_photo_id);
  return <span class="album-cover">{photo ? <Picture photo={photo} key={photo.value.id} /> : <Icon of={BookImage} />}</span>;
}

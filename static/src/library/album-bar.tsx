import { useLocation } from "wouter-preact";
import { AlbumMenu } from "../albums/album-dialog";
import type { Album } from "../api/types";
import { IconButton } from "../components/icon";
import { ArrowLeft, Heart } from "../components/icons";
import { count } from "../lib/format";
import { isPhone, isWide } from "../lib/responsive";
import type { PhotoFilter } from "../state/photo-filter";
import { UploadButtons } from "../upload/pick";
import { SearchField } from "./search-field";
import { ViewControls } from "./toolbar";

interface AlbumBarProps {
  album: Album;
  filter: PhotoFilter;
  onFilter: (change: Partial<PhotoFilter>, isNew?: boolean) => void;
}

const ORDERS: { value: PhotoFilter["order"]; label: string; meaning: string }[] = [
  { value: "position", label: "Album order", meaning: "In the order of this album; drag a photo to move it" },
  { value: "newest", label: "Newest", meaning: "The newest photo first" },
];

/** Above an album: what it is called, what of it is shown, and in which order. */
export function AlbumBar({ album, filter, onFilter }: AlbumBarProps) {
  const [, navigate] = useLocation();
  const narrowing = (
    <>
      <SearchField q={filter.q} onSearch={(q, isNew) => onFilter({ q }, isNew)} />
      <div class="segments" role="group" aria-label="Order">
        {ORDERS.map(({ value, label, meaning }) => (
          <button
            key={value}
            type="button"
            title={meaning}
            aria-pressed={filter.order === value}
            onClick={() => onFilter({ order: value })}
          >
            {isPhone.value && value === "position" ? "Album" : label}
          </button>
        ))}
      </div>
      <IconButton
        icon={Heart}
        label="Only favourites"
        class="favorite"
        pressed={filter.favorite}
        onClick={() => onFilter({ favorite: !filter.favorite })}
      />
    </>
  );
  return (
    <>
      <IconButton icon={ArrowLeft} label="All albums" onClick={() => navigate("/albums")} />
      <div class="album-title">
        <h1 class="ellipsis" title={album.name}>
          {album.name}
        </h1>
        <span class="small muted" data-testid="album-count">
          {count(album.photo_count, "photo")}
        </span>
      </div>
      {isWide.value ? narrowing : <div class="rest" />}
      <AlbumMenu album={album} onDeleted={() => navigate("/albums")} />
      {!isWide.value && <div class="filter-row">{narrowing}</div>}
      <ViewControls />
      <UploadButtons />
    </>
  );
}

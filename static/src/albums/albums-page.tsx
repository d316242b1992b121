import { useEffect, useRef, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import type { Album } from "../api/types";
import { Blank } from "../components/blank";
import { Icon } from "../components/icon";
import { BookImage, CloudOff, Plus } from "../components/icons";
import { TopBar } from "../components/top-bar";
import { ago, count } from "../lib/format";
import { useTitle } from "../lib/navigation";
import { addToNewAlbum } from "../state/album-actions";
import { albums, albumsError, loadAlbums, needAlbums } from "../state/albums";
import { AlbumForm, AlbumMenu } from "./album-dialog";
import { Cover } from "./cover";

/** So many cards are drawn at once; more as they are scrolled to. */
const AT_ONCE = 48;

export function AlbumsPage() {
  const [, navigate] = useLocation();
  const [making, make] = useState(false);
  useTitle("Albums");
  useEffect(needAlbums, []);
  const all = albums.value;
  const create = async (name: string, description: string | null) => {
    const album = await addToNewAlbum(name, description, null);
    if (album) navigate(`/albums/${album.id}`);
  };
  return (
    <>
      <TopBar>
        <h1>Albums</h1>
        {!!all?.length && <span class="small muted">{count(all.length, "album")}</span>}
        <div class="rest" />
        {!!all?.length && (
          <button type="button" class="button primary" onClick={() => make(true)}>
            <Icon of={Plus} />
            New album
          </button>
        )}
      </TopBar>
      {all === null && albumsError.value !== null && (
        <Blank icon={CloudOff} title="The albums cannot be read">
          <p>{albumsError.value}</p>
          <button type="button" class="button" onClick={() => void loadAlbums()}>
            Try again
          </button>
        </Blank>
      )}
      {all?.length === 0 && (
        <Blank icon={BookImage} title="No albums yet">
          <p>An album keeps photos together, in an order of your own. A photo can be in many; it stays in the library too.</p>
          <button type="button" class="button primary" onClick={() => make(true)}>
            New album
          </button>
        </Blank>
      )}
      {!!all?.length && <Cards all={all} />}
      {making && (
        <AlbumForm
          title="New album"
          action="Create"
          onSave={(name, description) => void create(name, description)}
          onClose={() => make(false)}
        />
      )}
    </>
  );
}

function Cards({ all }: { all: readonly Album[] }) {
  const [many, setMany] = useState(AT_ONCE);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && setMany((shown) => (shown < all.length ? shown + AT_ONCE : shown)),
      { rootMargin: "800px" },
    );
    observer.observe(end.current!);
    return () => observer.disconnect();
  }, [all.length, many]);
  return (
    <div class="cards-scroll scroll">
      <ul class="cards albums">
        {all.slice(0, many).map((album) => (
          <AlbumCard key={album.id} album={album} />
        ))}
      </ul>
      <div ref={end} />
    </div>
  );
}

function AlbumCard({ album }: { album: Album }) {
  return (
    <li class="picture-card" data-testid="album-card" data-album={album.id}>
      <Link href={`/albums/${album.id}`}>
        <Cover album={album} />
        <strong class="ellipsis">{album.name}</strong>
        <span class="small muted ellipsis">
          {album.photo_count === 0 ? "No photos yet" : count(album.photo_count, "photo")} · {ago(album.updated_at)}
        </span>
      </Link>
      <AlbumMenu album={album} />
    </li>
  );
}

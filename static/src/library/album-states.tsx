import { Link } from "wouter-preact";
import { Blank } from "../components/blank";
import { BookImage, CloudOff } from "../components/icons";
import { TopBar } from "../components/top-bar";

/** Instead of an album that is not there: what became of it, and where to go. */
export function AlbumMissing({ isRemoved }: { isRemoved: boolean }) {
  return (
    <>
      <TopBar>
        <h1>Albums</h1>
        <div class="rest" />
      </TopBar>
      <Blank icon={BookImage} title={isRemoved ? "This album was deleted" : "There is no such album"}>
        <p>
          {isRemoved
            ? "Its photos are still in the library. If its deletion is undone, it shows again here."
            : "It was deleted, or its address is not quite right."}
        </p>
        <Link href="/albums" class="button primary">
          All albums
        </Link>
        <Link href="/" class="button">
          To the library
        </Link>
      </Blank>
    </>
  );
}

export function AlbumUnread({ reason }: { reason: string }) {
  return (
    <Blank icon={CloudOff} title="The album cannot be read">
      <p>{reason}</p>
      <Link href="/albums" class="button">
        All albums
      </Link>
    </Blank>
  );
}

export function AlbumEmpty() {
  return (
    <Blank icon={BookImage} title="This album is empty">
      <p>Choose photos in the library and press “Add to album”, or drag them onto it. Pictures of your own can be dropped here.</p>
      <Link href="/" class="button primary">
        To the library
      </Link>
    </Blank>
  );
}

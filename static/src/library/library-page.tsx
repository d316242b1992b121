import { useEffect, useMemo, useState } from "preact/hooks";
import { useLocation, useSearch } from "wouter-preact";
import type { Album, Photo, PhotoSource } from "../api/types";
import { Confirm } from "../components/dialog";
import { TopBar } from "../components/top-bar";
import { connection } from "../feed/connection";
import { useKeys } from "../lib/keys";
import { goBack, usePhotoAddress, useTitle } from "../lib/navigation";
import { inspectorOpen } from "../lib/preferences";
import { appendMadeWith, madeWithIn } from "../photo/made-with";
import { PurgeQuestion, trashRule } from "../photo/trash";
import { appendToAlbum, isAlbumRemoved } from "../state/albums";
import { emptyTrash, type ToPurge } from "../state/photo-actions";
import { type FlagFilter, type PhotoFilter, UNNARROWED } from "../state/photo-filter";
import { loadSessions } from "../state/sessions";
import { loadSettings, trashDays } from "../state/settings";
import { useUploadDestination } from "../upload/uploads";
import { InspectorPanel } from "../viewer/inspector-panel";
import { Viewer } from "../viewer/viewer";
import { AlbumBar } from "./album-bar";
import { AlbumMissing, AlbumUnread } from "./album-states";
import { Changing, Empty, Failed, Loading } from "./empty";
import { Grid } from "./grid";
import { createSelection } from "./selection";
import { SelectionBar } from "./selection-bar";
import { Toolbar, ViewControls } from "./toolbar";
import { useAlbum } from "./use-album";
import { useList } from "./use-list";

/** The filter stands in the address, so that it can be linked to and survives a reload. */
function useFilter(trashed: boolean, album: string | null) {
  const [path, navigate] = useLocation();
  const search = new URLSearchParams(useSearch());
  const filter: PhotoFilter = {
    trashed,
    source: search.get("source") as PhotoSource | null,
    session: search.get("session"),
    album,
    order: album !== null && search.get("order") !== "newest" ? "position" : "newest",
    favorite: search.has("favorite"),
    ratingMin: ratingOf(search),
    flags: flagsOf(search),
    tag: search.get("tag") || null,
    madeWith: madeWithIn(search),
    q: search.get("q") || null,
  };
  const addressOf = ({ source, session, order, favorite, ratingMin, flags, tag, madeWith, q }: PhotoFilter) => {
    const query = new URLSearchParams();
    if (q) query.set("q", q);
    if (source) query.set("source", source);
    if (session) query.set("session", session);
    if (album !== null && order === "newest") query.set("order", order);
    if (favorite) query.set("favorite", "true");
    if (ratingMin !== null) query.set("rating_min", String(ratingMin));
    for (const flag of flags ?? []) query.append("pick", flag);
    if (tag) query.set("tag", tag);
    appendMadeWith(query, madeWith);
    const photo = search.get("photo");
    if (photo) query.set("photo", photo);
    const text = query.toString();
    return text ? `${path}?${text}` : path;
  };
  /** A search has a place of its own, to which Back leads and which Back clears; its letters have not, nor have the filters. */
  const change = (next: Partial<PhotoFilter>, isNew = false) => {
    const address = addressOf({ ...filter, ...next });
    const state = history.state as { beforeSearch?: string } | null;
    if (next.q === null && state?.beforeSearch === address) void goBack();
    else if (next.q && isNew && !search.has("photo")) navigate(address, { state: { beforeSearch: addressOf(filter) } });
    else navigate(address, { replace: true, state });
  };
  return { filter, change };
}

function ratingOf(search: URLSearchParams): number | null {
  const stars = Number(search.get("rating_min"));
  return Number.isInteger(stars) && stars >= 1 && stars <= 5 ? stars : null;
}

const FLAGS: FlagFilter[] = ["pick", "none", "reject"];

function flagsOf(search: URLSearchParams): FlagFilter[] | null {
  const flags = FLAGS.filter((flag) => search.getAll("pick").includes(flag));
  return flags.length > 0 ? flags : null;
}

/** The library, its trash, or one of its albums. */
export function LibraryPage({ trashed, album: albumId = null }: { trashed: boolean; album?: string | null }) {
  const { album, isMissing, error } = useAlbum(albumId);
  if (isMissing) return <AlbumMissing isRemoved={albumId !== null && isAlbumRemoved(albumId)} />;
  if (error !== null) return <AlbumUnread reason={error} />;
  return <Photos trashed={trashed} albumId={albumId} album={album} />;
}

function Photos({ trashed, albumId, album }: { trashed: boolean; albumId: string | null; album: Album | null }) {
  const { filter, change } = useFilter(trashed, albumId);
  const { list, reading } = useList(filter);
  const selection = useMemo(() => createSelection(list), [list]);
  const address = usePhotoAddress();
  const [emptying, askToEmpty] = useState(false);
  const [purging, askToPurge] = useState<ToPurge | null>(null);

  const albumName = album?.name ?? null;
  const destination = useMemo(() => {
    if (albumId === null || albumName === null) return null;
    return { name: albumName, add: ({ id }: Photo) => appendToAlbum(albumId, id) };
  }, [albumId, albumName]);

  useUploadDestination(destination);
  useTitle(trashed ? "Trash" : album?.name);
  useEffect(() => selection.follow(), [selection]);
  useEffect(() => void loadSessions(), []);
  useEffect(() => void (trashed && loadSettings()), [trashed]);
  useKeys({ i: () => (inspectorOpen.value = !inspectorOpen.value) });

  const open = (id: string) => {
    selection.activate(id);
    address.open(id);
  };

  const showAll = () => change(UNNARROWED);
  const empty = list.ids.value.length === 0;
  const known = list.loaded.value && !list.more.value;
  return (
    <>
      <TopBar>
        {selection.choosing.value && <SelectionBar list={list} selection={selection} onPurge={askToPurge} />}
        {!selection.choosing.value && album !== null && <AlbumBar album={album} filter={filter} onFilter={change} />}
        {!selection.choosing.value && !trashed && albumId === null && <Toolbar filter={filter} onFilter={change} />}
        {!selection.choosing.value && trashed && (
          <>
            <h1>Trash</h1>
            <div class="rest" />
            {!empty && (
              <button type="button" class="button danger" onClick={() => askToEmpty(true)}>
                Empty the trash
              </button>
            )}
            <ViewControls />
          </>
        )}
      </TopBar>
      <div class="library">
        <div class="library-content" aria-busy={reading}>
          {album?.description && <p class="album-description small muted">{album.description}</p>}
          {!empty && trashed && <p class="trash-rule small muted">{trashDays.value !== null && trashRule(trashDays.value)}</p>}
          {!empty && (
            <Grid
              key={JSON.stringify(list.filter)}
              list={list}
              held={address.shown !== null}
              selection={selection}
              addressOf={address.addressOf}
              onOpen={open}
              onPurge={askToPurge}
            />
          )}
          {empty && list.error.value !== null && (
            <Failed reason={list.error.value} onRetry={() => void list.reload()} onShowAll={showAll} />
          )}
          {empty && list.error.value === null && list.doing.value !== null && <Changing words={list.doing.value} />}
          {empty && list.error.value === null && list.doing.value === null && !known && <Loading />}
          {empty && list.error.value === null && list.doing.value === null && known && (
            <Empty filter={list.filter} onShowAll={showAll} />
          )}
          {!empty && list.error.value !== null && connection.value !== "offline" && !address.shown && (
            <p class="lost-note" role="alert">
              <span class="dot bad" />
              {list.error.value}
              <button type="button" class="button compact" onClick={() => void list.reload()}>
                Try again
              </button>
            </p>
          )}
        </div>
        {!address.shown && <InspectorPanel id={selection.active.value} onOpen={open} />}
      </div>
      {address.shown && (
        <Viewer
          ids={list.ids.value}
          list={list}
          shown={address.shown}
          inTrash={trashed}
          more={list.more.value}
          onMore={() => list.loadMore()}
          onMove={(id) => {
            selection.activate(id);
            address.move(id);
          }}
          onClose={address.close}
        />
      )}
      {purging && <PurgeQuestion what={purging} onPurge={selection.clear} onClose={() => askToPurge(null)} />}
      {emptying && (
        <Confirm
          title="Empty the trash?"
          text="Every photo in the trash is deleted for good, with its file. This cannot be undone."
          action="Delete for good"
          onConfirm={() => void emptyTrash().then(() => list.reload())}
          onClose={() => askToEmpty(false)}
        />
      )}
    </>
  );
}

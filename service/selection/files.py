"""Gives and removes the names of one photo's files on the disk. Everything here blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from service.media.layout import large_path, renditions, thumbnail_path
from service.media.storage import LocalStorage, checksum, has_same_bytes


class NotWhole(Exception):
    """The file of a photo that counts as home is not what its row says."""


def give_names(
    storage: LocalStorage, path: str, thumbnail: str | None, names: Sequence[str], *, file_size: int, sha256: str
) -> None:
    """Gives the photo at `path`, and its renditions, each of these names, durably. Raises `NotWhole` and `OSError`."""
    storage.check_mounted()
    source = storage.path(path)
    if not storage.exists(path) or storage.size(path) != file_size:
        raise NotWhole
    given: list[str] = []
    for name in names:
        if name == path:
            continue
        target = storage.path(name)
        if storage.exists(name) and not has_same_bytes(source, target) and checksum(source) != sha256:
            raise NotWhole  # the other name's file may be whole
        made = [(path, name), (thumbnail, thumbnail_path(name)), (large_path(path), large_path(name))]
        for existing, new in made:
            if existing is not None and (existing == path or storage.exists(existing)):
                storage.share(existing, new)
                given.append(new)
    storage.sync_folders(given)


def take_names(storage: LocalStorage, path: str, names: Iterable[str]) -> list[str]:
    """Removes these names, and those of their renditions, if the file at `path` is the same or has the same bytes.
    Others are left alone, and returned. Raises `OSError`."""
    storage.check_mounted()
    source = storage.path(path)
    left, taken = [], []
    for name in names:
        file = storage.path(name)
        if os.path.lexists(file):
            if not (storage.exists(path) and has_same_bytes(source, file)):
                left.append(name)
                continue
            storage.unlink(name)
        for rendition in renditions(name):
            storage.unlink(rendition)
        taken += [name, *renditions(name)]
    storage.sync_folders(taken)
    return left


def remove_names(storage: LocalStorage, names: Iterable[str]) -> bool:
    """Removes the names of a purged photo, and returns whether nothing is left."""
    return storage.unlink_all(file for name in names for file in (name, *renditions(name)))


def bring_back(storage: LocalStorage, path: str, names: Iterable[str], sha256: str) -> bool:
    """Whether `path` is whole, if need be after it was made again from another of the photo's names."""
    if _is_whole(storage, path, sha256):
        return True
    for name in names:
        if name != path and _is_whole(storage, name, sha256):
            storage.check_mounted()
            storage.share(name, path)
            missing = [
                pair
                for pair in zip(renditions(name), renditions(path), strict=True)
                if storage.exists(pair[0]) and not storage.exists(pair[1])
            ]
            for existing, new in missing:
                storage.share(existing, new)
            storage.sync_folders([path, *(new for _, new in missing)])
            return True
    return False


def _is_whole(storage: LocalStorage, name: str, sha256: str) -> bool:
    try:
        return checksum(storage.path(name)) == sha256
    except OSError:
        return False

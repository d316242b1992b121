"""Makes the PNG of a photo that is sent to InvokeAI as a source image (source is a photo).
What InvokeAI would ignore or spoil, such as rotation, colour profiles and 16 bits, is applied here."""

from __future__ import annotations

from uuid import UUID

from service.database.engine import Database
from service.errors import DarkroomError, NotFound
from service.media.imaging import Imaging, TooManyPixels, Undecodable
from service.media.storage import LocalStorage
from service.photos.integrity import Integrity
from service.photos.photo_file import PhotoFile, photo_file

LONGEST_SIDE = 4096
TRIES = 4
"""To find a file whose name has just gone: a selection may be moving it."""


class SourceNotHere(DarkroomError):
    """Its file is not in the data folder now; it may come home again."""


class UnusableSource(DarkroomError):
    """Its file is whole, and no picture can be made of it; the message is for the owner."""


class SourcePictures:
    """Reads photos from the data folder."""

    def __init__(self, database: Database, storage: LocalStorage, imaging: Imaging, integrity: Integrity) -> None:
        self._database = database
        self._storage = storage
        self._imaging = imaging
        self._integrity = integrity

    async def png(self, photo_id: UUID) -> bytes:
        """8-bit RGB or RGBA in sRGB, turned as it is shown, at most `LONGEST_SIDE` px, without metadata. Raises
        `SourceNotHere`, `UnusableSource` or `DataFolderAway`."""
        for _ in range(TRIES):
            photo = await self._stored(photo_id)
            path, sha256 = photo.local_storage_path, photo.sha256
            if photo.retrieval_status != "completed" or path is None or sha256 is None:
                raise SourceNotHere("the photo is not here")
            fault = await self._integrity.check_size(path, photo.file_size or 0)
            if fault is None:
                try:
                    return await self._imaging.run(self._imaging.as_png, self._storage.path(path), LONGEST_SIDE)
                except TooManyPixels as error:
                    raise UnusableSource(f"the source photo is too large: {error}") from error
                except Undecodable as error:
                    # Its bytes may have changed on the disk, or its name gone, since it came home.
                    fault = (await self._integrity.check(path, photo.file_size, sha256)).fault
                    if fault is None:
                        raise UnusableSource(f"the source photo cannot be decoded: {error}") from error
            await self._integrity.lost(photo.id, path, sha256, fault, next_in_line=True)
        raise SourceNotHere("the photo's file is being moved")

    async def _stored(self, photo_id: UUID) -> PhotoFile:
        try:
            return await photo_file(self._database, photo_id)
        except NotFound as error:
            raise SourceNotHere("the photo was deleted for good") from error

"""Paths of files, relative to the data folder, built only from ids and dates: no path leads out of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath
from uuid import UUID

PHOTOS = "photos"
THUMBNAILS = f"{PHOTOS}/thumbnails"
UNRECORDED = ".unrecorded"
EXTENSIONS = frozenset({".png", ".jpg", ".webp", ".avif", ".heic", ".gif", ".tiff"})


def generated_path(session_id: UUID, step_id: UUID, photo_id: UUID) -> str:
    """The path of an alternative that is not selected."""
    return f"{PHOTOS}/generated/sessions/{session_id}/{step_id}/variants/{photo_id}.png"


def selected_path(session_id: UUID, step_id: UUID, photo_id: UUID) -> str:
    """The path of the selected alternative."""
    return f"{PHOTOS}/generated/sessions/{session_id}/{step_id}/selected/{photo_id}.png"


def completed_path(selected_at: datetime, photo_id: UUID) -> str:
    """The second name of a selection, by the day it was selected."""
    return f"{PHOTOS}/generated/completed/{_day(selected_at)}/{photo_id}.png"


def is_selected_path(path: str) -> bool:
    """Whether it is the path of a selection, which has a second name."""
    return path.startswith(f"{PHOTOS}/generated/sessions/") and PurePosixPath(path).parent.name == "selected"


def mirror_path(backend_id: UUID, created_at: datetime, photo_id: UUID) -> str:
    """The path of an image made in InvokeAI's own UI."""
    return f"{PHOTOS}/generated/mirror/{backend_id}/{_day(created_at)}/{photo_id}.png"


def uploaded_path(created_at: datetime, photo_id: UUID, extension: str) -> str:
    """`extension` is one of `EXTENSIONS`."""
    return f"{PHOTOS}/uploaded/{_day(created_at)}/{photo_id}{_known(extension)}"


def imported_path(created_at: datetime, photo_id: UUID, extension: str) -> str:
    """`extension` is one of `EXTENSIONS`."""
    return f"{PHOTOS}/imported/{_day(created_at)}/{photo_id}{_known(extension)}"


def thumbnail_path(path: str) -> str:
    """The path of the small rendition: the photo's path below the thumbnails, as WebP."""
    inside = PurePosixPath(path).relative_to(PHOTOS).with_suffix(".webp")
    return f"{THUMBNAILS}/{inside}"


def large_path(path: str) -> str:
    """The path of the large rendition, beside the small one."""
    return f"{thumbnail_path(path).removesuffix('.webp')}.large.webp"


def renditions(path: str) -> tuple[str, str]:
    """The paths of the renditions of the photo at `path`, which go with it."""
    return thumbnail_path(path), large_path(path)


def unrecorded(path: str) -> str:
    """The name of the temporary mark that stands beside the photo at `path` until the photo has a row."""
    return f"{path}{UNRECORDED}"


def _day(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a time without a zone has no day")
    return moment.astimezone(UTC).strftime("%Y-%m-%d")


def _known(extension: str) -> str:
    if extension not in EXTENSIONS:
        raise ValueError(f"no photo has the extension {extension!r}")
    return extension

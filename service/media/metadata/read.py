"""What an uploaded file tells of its making, by whatever program it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from service.media.metadata.automatic1111 import read_automatic1111
from service.media.metadata.comfyui import read_comfyui
from service.media.metadata.containers import read_texts
from service.media.metadata.fooocus import read_fooocus
from service.media.metadata.invokeai import read_invokeai
from service.media.metadata.novelai import read_novelai
from service.media.metadata.parameters import Parameters, parameters, storable
from service.media.metadata.source_images import SourceImage
from service.media.metadata.texts import Texts
from service.media.metadata.values import Json

log = structlog.get_logger()

MAX_KEPT = 1024 * 1024
"""Bytes of a text that is kept in the database (rule 12). What is longer stays in the file."""
MAX_SEARCHED = 64 * 1024
"""Bytes of text that are searched where the parameters say nothing."""
NOT_WORDS = ("Software", "Make", "Model", "MakerNote", "fooocus_scheme", "prompt", "workflow")
"""Names of texts that say nothing of the picture, or only to programs."""
NOT_WORDS_BEGIN = ("date:", "exif:", "invokeai_", "png:", "Raw profile")

READERS: tuple[tuple[str, Callable[[Mapping[str, str]], Json | None]], ...] = (
    ("fooocus", read_fooocus),
    ("automatic1111", read_automatic1111),
    ("comfyui", read_comfyui),
    ("novelai", read_novelai),
)
"""In this order: ComfyUI's nodes write what came of a graph in AUTOMATIC1111's words beside the graph itself."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`written_by` is the program that made the image, `parameters` what it says of it. `sources` are InvokeAI's own
    images that it was made from. `text` is for the search: words of a file that has no parameters, or whose text is
    too long to be kept; both are never there together."""

    parameters: Parameters | None = None
    sources: Sequence[SourceImage] = ()
    rating: int | None = None
    text: str | None = None
    written_by: str | None = None


def read(path: Path) -> Found:
    """Blocking: milliseconds, or some tenths of a second of files made for it. Raises `OSError` alone."""
    texts = read_texts(path)
    try:
        return found_in(texts)
    except Exception:
        # Metadata are never a reason to refuse an upload.
        log.exception("metadata inside the file cannot be read", path=path.name)
        return Found(rating=texts.rating)


def found_in(texts: Texts) -> Found:
    kept = {name: text for name, text in texts.named.items() if len(text.encode(errors="replace")) <= MAX_KEPT}
    of_invokeai = read_invokeai(kept)
    found, written_by = of_invokeai.parameters, "invokeai"
    if found is None:
        found, written_by = _of_others(kept)
    if found is not None and len(found.metadata or "") > MAX_KEPT:
        found = None
    text = None if found else _words(texts.named)
    return Found(
        parameters=found,
        sources=tuple(of_invokeai.sources),
        rating=texts.rating,
        text=text,
        written_by=written_by if found else None,
    )


def _of_others(texts: Mapping[str, str]) -> tuple[Parameters | None, str]:
    for name, reader in READERS:
        if metadata := reader(texts):
            return parameters(metadata | {"taken_from": name}), name
    return None, ""


def _words(texts: Mapping[str, str]) -> str | None:
    words = "\n".join(
        text[:MAX_SEARCHED].strip()
        for name, text in texts.items()
        if name not in NOT_WORDS and not name.startswith(NOT_WORDS_BEGIN)
    )
    cut = storable(words.strip()).encode()[:MAX_SEARCHED].decode(errors="ignore")
    return cut or None

"""What an uploaded file tells of its making, by whatever program it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from service.media.metadata.automatic1111 import read_automatic1111
from service.media.metadata.comfyui import read_comfyui
from service.media.metadata.containers import read_texts
from service.media.metadata.fooocus import read_fooocus
from service.media.metadata.hidden import read_hidden
from service.media.metadata.invokeai import read_invokeai
from service.media.metadata.json_text import decode
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
NOT_WORDS = ("Software", "Make", "Model", "MakerNote", "fooocus_scheme")
"""Names of texts that say nothing of the picture."""
NOT_WORDS_BEGIN = ("date:", "exif:", "png:", "Raw profile")

READERS: tuple[tuple[str, Callable[[Mapping[str, str]], Json | None]], ...] = (
    ("fooocus", read_fooocus),
    ("automatic1111", read_automatic1111),
    ("comfyui", read_comfyui),
    ("novelai", read_novelai),
)
"""In this order: ComfyUI's nodes write what came of a graph in AUTOMATIC1111's words beside the graph itself."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`written_by` is the program that made the image, `parameters` what it says of it. `sources` are InvokeAI's own
    images that it was made from. `text` is for the search: all words of a file in which no prompt was found, or whose
    text is too long to be kept."""

    parameters: Parameters | None = None
    sources: Sequence[SourceImage] = ()
    rating: int | None = None
    text: str | None = None
    written_by: str | None = None


def read(path: Path) -> Found:
    """Blocking: milliseconds, or some tenths of a second of files made for it. Raises `OSError` alone."""
    texts = read_texts(path)
    try:
        found = found_in(texts)
        if found.parameters is None and read_hidden(path, texts):
            found = found_in(texts)
    except OSError:
        raise
    except Exception:
        # Metadata are never a reason to refuse an upload.
        log.exception("metadata inside the file cannot be read", path=path.name)
        return Found(rating=texts.rating)
    return found


def found_in(texts: Texts) -> Found:
    kept = {name: text for name, text in texts.named.items() if len(text.encode(errors="replace")) <= MAX_KEPT}
    of_invokeai = read_invokeai(kept)
    found, written_by = of_invokeai.parameters, "invokeai"
    if found is None:
        found, written_by = _of_others(kept)
    if found is not None and len(found.metadata or "") > MAX_KEPT:
        found = None
    text = None if found and found.prompt else _words(texts.named)
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
    parts = (
        _words_of_json(text) if text.lstrip().startswith("{") and len(text) <= MAX_KEPT else text[:MAX_SEARCHED]
        for name, text in texts.items()
        if name not in NOT_WORDS and not name.startswith(NOT_WORDS_BEGIN)
    )
    words = "\n".join(dict.fromkeys(part.strip() for part in parts if part.strip()))
    return storable(words).encode()[:MAX_SEARCHED].decode(errors="ignore") or None


def _words_of_json(text: str) -> str:
    """What is written in it: texts of several words, in their order."""
    found: dict[str, None] = {}
    length = 0
    ahead: list[Any] = [decode(text)]
    while ahead and length < MAX_SEARCHED:
        here = ahead.pop()
        if isinstance(here, dict):
            ahead += reversed(here.values())
        elif isinstance(here, list):
            ahead += reversed(here)
        elif isinstance(here, str) and " " in here.strip() and here not in found:
            found[here] = None
            length += len(here)
    return "\n".join(found)

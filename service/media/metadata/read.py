"""Reads the metadata of an uploaded file, of all programs that Darkroom knows."""

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
from service.media.metadata.parameters import MAX_KEPT, GenerationParameters, large_one_at_a_time, parameters, storable
from service.media.metadata.source_images import SourceImage
from service.media.metadata.texts import Texts
from service.media.metadata.values import Json

log = structlog.get_logger()

MAX_SEARCHED = 64 * 1024
"""Bytes of text that the search gets if no prompt was found."""
NOT_WORDS = ("Software", "Make", "Model", "MakerNote", "fooocus_scheme")
"""Names of texts that say nothing about the image."""
NOT_WORDS_BEGIN = ("date:", "exif:", "png:", "Raw profile")

READERS: tuple[tuple[str, Callable[[Mapping[str, str]], Json | None]], ...] = (
    ("fooocus", read_fooocus),
    ("automatic1111", read_automatic1111),
    ("comfyui", read_comfyui),
    ("novelai", read_novelai),
)
"""The readers in order: ComfyUI's nodes write the result of a graph as AUTOMATIC1111 does, beside the graph itself."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata found. `written_by` is the program that made the image, `parameters` its parameters. `sources` are
    InvokeAI's images that it was made from. `text` is for the search: all words of a file in which no prompt was found,
    or whose text is too long to be stored."""

    parameters: GenerationParameters | None = None
    sources: Sequence[SourceImage] = ()
    rating: int | None = None
    text: str | None = None
    written_by: str | None = None


def read(path: Path, texts: Texts | None = None) -> Found:
    """Reads a file (blocks): milliseconds, or some tenths of a second for files made for it. Raises `OSError` and
    nothing else. `texts` are those of the file's container, if they were read already."""
    if texts is None:
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
    with large_one_at_a_time(sum(map(len, texts.named.values()))):
        return _found_in(texts)


def _found_in(texts: Texts) -> Found:
    of_invokeai = read_invokeai(texts.named)
    found, written_by = of_invokeai.parameters, "invokeai"
    if found is None:
        kept = {name: text for name, text in texts.named.items() if len(text.encode(errors="replace")) <= MAX_KEPT}
        found, written_by = _of_others(kept)
        if found is not None and found.metadata is None:
            found = None
    text = None if found and found.prompt else _words(texts.named)
    return Found(
        parameters=found,
        sources=tuple(of_invokeai.sources),
        rating=texts.rating,
        text=text,
        written_by=written_by if found else None,
    )


def _of_others(texts: Mapping[str, str]) -> tuple[GenerationParameters | None, str]:
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
    """The texts of several words in a JSON document, in their order."""
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

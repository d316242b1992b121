"""Pictures into thumbnails, with libvips: few loaders, a bound on pixels, as many threads as keep the cores busy."""

from __future__ import annotations

import asyncio
import base64
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import pyvips

from service.media import thumbhash

P = ParamSpec("P")
T = TypeVar("T")

THUMBNAIL_SIDE = 300
LOADERS = ("VipsForeignLoadPng", "VipsForeignLoadJpeg", "VipsForeignLoadWebp")
# A damaged picture must be an error. Thumbnailing heeds only this way to say so, and only from a source or buffer.
STRICT = "fail_on=error"


class Undecodable(Exception):
    """libvips cannot make a picture of it; the message is libvips' own."""


class TooManyPixels(Exception):
    """Its header promises more pixels than are allowed; nothing was decoded."""


class Thumbnail(NamedTuple):
    webp: bytes
    thumbhash: str
    """Base64."""


def configure() -> None:
    """Settings of the process: only these loaders, one libvips thread a picture, no cache of operations."""
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in LOADERS:
        pyvips.operation_block_set(loader, False)
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)


class Imaging:
    """Decodes in threads of its own, one more than there are cores."""

    def __init__(self, max_pixels: int) -> None:
        configure()
        self._max_pixels = max_pixels
        self._threads = ThreadPoolExecutor((os.cpu_count() or 1) + 1, thread_name_prefix="imaging")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` in one of the threads. A cancelled caller's work still runs to its end."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def thumbnail(self, path: Path, quality: int) -> Thumbnail:
        """From one decode of the whole picture (blocks). Raises `TooManyPixels` or `Undecodable`."""
        try:
            header = pyvips.Image.new_from_file(str(path), access="sequential")
            if header.width * header.height > self._max_pixels:
                raise TooManyPixels(f"{header.width}x{header.height} pixels are more than {self._max_pixels}")
            # Converting colours is a third of the cost: only where a profile says that they are not sRGB already.
            profile = {"export_profile": "srgb"} if header.get_typeof("icc-profile-data") else {}
            small = pyvips.Image.thumbnail_source(
                pyvips.Source.new_from_file(str(path)),
                THUMBNAIL_SIDE,
                height=THUMBNAIL_SIDE,
                size="down",
                option_string=STRICT,
                **profile,
            ).copy_memory()
            webp = small.webpsave_buffer(Q=quality, effort=4, keep="none")
            return Thumbnail(webp, _hash(small))
        except pyvips.Error as error:
            raise Undecodable(" ".join(str(error).split())) from error

    def close(self) -> None:
        """Waits for what is running; what has not begun is dropped."""
        self._threads.shutdown(cancel_futures=True)


def _hash(image: pyvips.Image) -> str:
    if image.hasalpha():
        tiny = image.thumbnail_image(thumbhash.MAX_SIDE, height=thumbhash.MAX_SIDE, size="down")
    else:
        # Averaging whole pixels costs a third of that, and a thumbhash keeps a few waves only.
        factor = math.ceil(max(image.width, image.height) / thumbhash.MAX_SIDE)
        tiny = image.shrink(min(factor, image.width), min(factor, image.height))
    if (tiny.interpretation, tiny.format) != ("srgb", "uchar"):
        tiny = tiny.colourspace("srgb").cast("uchar")
    pixels = np.frombuffer(tiny.write_to_memory(), np.uint8).reshape(tiny.height, tiny.width, tiny.bands)
    return base64.b64encode(thumbhash.encode(pixels)).decode()

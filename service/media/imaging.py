"""Pictures into renditions, with libvips: few loaders, a bound on pixels, as many threads as keep the cores busy."""

from __future__ import annotations

import asyncio
import base64
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import pyvips

from service.media import jpeg, thumbhash
from service.media.sizes import LARGE_SIDE, QUARTER_TURNS, SMALL_SIDE, Size, fitted, large_size

P = ParamSpec("P")
T = TypeVar("T")

LOADERS = (
    "VipsForeignLoadPng",
    "VipsForeignLoadJpeg",
    "VipsForeignLoadWebp",
    "VipsForeignLoadHeif",
    "VipsForeignLoadNsgif",
    "VipsForeignLoadTiff",
)
# A damaged picture must be an error. Thumbnailing heeds only this way to say so, and only from a source or buffer.
STRICT = "error"
MAY_HOLD_SMALLER = ("heif", "tiff")
"""Loaders of files that may hold smaller pictures besides, which thumbnailing would take for the picture itself."""
DECODED_WHOLE = ("heif", "webp", "gif")
SAMPLE_BYTES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4}
DECODE_BYTES = 2**30
"""Of memory, that pictures may need while they are decoded, all together. One that needs more is decoded alone."""
ROWS_AT_ONCE = 512
"""Of a picture that need not be decoded as a whole, about so many are in memory."""
EFFORT = 2
"""Of WebP's encoder: half the time of its own default, for hardly more bytes."""


class Undecodable(Exception):
    """libvips cannot make a picture of it; the message is libvips' own."""


class TooManyPixels(Exception):
    """Its header promises more pixels than are allowed; nothing was decoded."""


class Rendition(NamedTuple):
    webp: bytes
    size: Size


class Rendered(NamedTuple):
    """Of one decode of a picture; what was not asked for, or would be no larger than the small one, is None."""

    size: Size
    """The picture's own, turned as it is shown."""
    small: Rendition | None
    large: Rendition | None
    thumbhash: str | None
    """Base64; comes with the small one."""
    lacks_end: bool = False
    """A JPEG that is whole but for its end marker."""


def configure() -> None:
    """Settings of the process: only these loaders, one libvips thread a picture, no cache of operations."""
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in LOADERS:
        pyvips.operation_block_set(loader, False)
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)


class Memory:
    """A bound on the memory of decodes. A thread takes what its decode needs, and waits while there is too little."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._given_back = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        size = min(size, self._most)
        with self._given_back:
            self._given_back.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._given_back:
                self._left += size
                self._given_back.notify_all()


class Imaging:
    """Decodes in threads of its own, one more than there are cores."""

    def __init__(self, max_pixels: int) -> None:
        configure()
        self._max_pixels = max_pixels
        self._memory = Memory(DECODE_BYTES)
        self._threads = ThreadPoolExecutor((os.cpu_count() or 1) + 1, thread_name_prefix="imaging")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` in one of the threads. A cancelled caller's work still runs to its end."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def render(self, path: Path, quality: int, *, small: bool = True, large: bool = False) -> Rendered:
        """From one decode of the whole picture (blocks). Raises `TooManyPixels` or `Undecodable`."""
        try:
            return self._render(lambda: pyvips.Source.new_from_file(str(path)), quality, small, large)
        except pyvips.Error as error:
            undecodable = Undecodable(" ".join(str(error).split()))
        try:
            if not jpeg.lacks_only_its_end(path):
                raise undecodable
            with path.open("rb") as file:
                rendered = self._render(lambda: jpeg.Ended(file).source(), quality, small, large)
        except (pyvips.Error, OSError):
            raise undecodable from None
        return rendered._replace(lacks_end=True)

    def _render(self, source: Callable[[], pyvips.Source], quality: int, small: bool, large: bool) -> Rendered:
        header = pyvips.Image.new_from_source(source(), "", access="sequential")
        if header.width * header.height > self._max_pixels:
            raise TooManyPixels(f"{header.width}x{header.height} pixels are more than {self._max_pixels}")
        size = _as_shown(header)
        has_large = large and large_size(size) is not None
        if not small and not has_large:
            return Rendered(size, None, None, None)
        box = fitted(size, LARGE_SIDE if has_large else SMALL_SIDE)
        with self._memory.taken(decoding_bytes(header)):
            pixels = _decoded(source(), header, box).copy_memory()
        made = _encode(pixels, quality) if has_large else None
        if not small:
            return Rendered(size, None, made, None)
        if has_large:
            box = fitted(size, SMALL_SIDE)
            pixels = pixels.thumbnail_image(box.width, height=box.height, size="down", crop="centre").copy_memory()
        return Rendered(size, _encode(pixels, quality), made, _hash(pixels))

    def close(self) -> None:
        """Waits for what is running; what has not begun is dropped."""
        self._threads.shutdown(cancel_futures=True)


def _as_shown(header: pyvips.Image) -> Size:
    turned = header.get_typeof("orientation") and header.get("orientation") in QUARTER_TURNS
    return Size(header.height, header.width) if turned else Size(header.width, header.height)


def decoding_bytes(header: pyvips.Image) -> int:
    """About as much memory as decoding it takes."""
    row: int = header.width * header.bands * SAMPLE_BYTES.get(header.format, 8)
    height: int = header.height
    is_whole = header.get("vips-loader").startswith(DECODED_WHOLE) or any(
        header.get_typeof(field) and header.get(field) for field in ("interlaced", "jpeg-multiscan")
    )
    return row * (height if is_whole else min(height, ROWS_AT_ONCE))


def _decoded(source: pyvips.Source, header: pyvips.Image, box: Size) -> pyvips.Image:
    """The whole picture, scaled to the box, in sRGB."""
    # Converting colours is a third of the cost: only where a profile says that they are not sRGB already.
    profile = {"export_profile": "srgb"} if header.get_typeof("icc-profile-data") else {}
    options = {"height": box.height, "size": "down", "crop": "centre", **profile}
    if header.get("vips-loader").startswith(MAY_HOLD_SMALLER):
        whole = pyvips.Image.new_from_source(source, "", access="sequential", fail_on=STRICT)
        return whole.thumbnail_image(box.width, **options)
    return pyvips.Image.thumbnail_source(source, box.width, option_string=f"fail_on={STRICT}", **options)


def _encode(pixels: pyvips.Image, quality: int) -> Rendition:
    webp = pixels.webpsave_buffer(Q=quality, effort=EFFORT, keep="none")
    return Rendition(webp, Size(pixels.width, pixels.height))


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

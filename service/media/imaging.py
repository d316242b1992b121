"""Makes renditions of images with libvips: few loaders, a bound on pixels, a thread for each core."""

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

from service.media import jpeg, regular, thumbhash
from service.media.decode_memory import Memory, bytes_for_decodes, decoding_bytes
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
# A damaged image must be an error. Thumbnailing obeys only this option, and only from a source or buffer.
STRICT = "error"
MAY_HOLD_SMALLER = ("heif", "tiff")
"""Loaders of files that may contain smaller images, which thumbnailing would take for the image itself."""
RGBA = 4
"""Bytes of a pixel, at most."""
PNG_COMPRESSION = 4
"""PNG compression of a source image for InvokeAI: half the time of the default, for hardly more bytes."""
EFFORT = 2
"""Effort of WebP's encoder: half the time of its own default, for hardly more bytes."""


class Undecodable(Exception):
    """libvips cannot decode it; the message is libvips' own."""


class TooManyPixels(Exception):
    """Its header names more pixels than are allowed, or than there is memory for; nothing was decoded."""


class Rendition(NamedTuple):
    webp: bytes
    size: Size


class Rendered(NamedTuple):
    """Results of one decode. A rendition that was not asked for, or would be no larger than the small one, is None."""

    size: Size
    """The image's own size, turned as it is shown."""
    small: Rendition | None
    large: Rendition | None
    thumbhash: str | None
    """Base64; made with the small rendition."""
    lacks_end: bool = False
    """A JPEG that lacks only its end marker."""


def configure() -> None:
    """Settings of the process: only these loaders, one libvips thread for each image, no cache of operations."""
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in LOADERS:
        pyvips.operation_block_set(loader, False)
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)


class Imaging:
    """Decodes in its own threads, one more than there are cores, with `decode_bytes` of memory for all of them (None: a
    share of the machine's)."""

    def __init__(self, max_pixels: int, decode_bytes: int | None = None) -> None:
        configure()
        self.max_pixels = max_pixels
        self._memory = Memory(bytes_for_decodes() if decode_bytes is None else decode_bytes)
        self._threads = ThreadPoolExecutor((os.cpu_count() or 1) + 1, thread_name_prefix="imaging")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work` in one of the threads. If the caller is cancelled, it still runs to its end."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def render(self, path: Path, quality: int, *, small: bool = True, large: bool = False) -> Rendered:
        """Renders from one decode of the whole image (blocks). Raises `TooManyPixels` or `Undecodable`."""
        rendered, lacks_end = self._read(path, lambda source: self._render(source, quality, small, large))
        return rendered._replace(lacks_end=lacks_end)

    def as_png(self, path: Path, longest_side: int) -> bytes:
        """The image as InvokeAI can take it (blocks): an 8-bit PNG, RGB or RGBA, in sRGB, turned as it is shown, its
        first frame, scaled down to the longest side, without metadata. Raises `TooManyPixels` or `Undecodable`."""
        png, _ = self._read(path, lambda source: self._as_png(source, longest_side))
        return png

    def _as_png(self, source: Callable[[], pyvips.Source], longest_side: int) -> bytes:
        header = self._header(source)
        size = _as_shown(header)
        scale = min(1.0, longest_side / max(size))
        made_bytes = math.ceil(size.width * scale) * math.ceil(size.height * scale) * RGBA
        with self._memory.taken(self._weighed(header, 2 * made_bytes)):
            reader = source()  # libvips reads on, and does not keep the object alive
            pixels = _decoded(reader, header, Size(longest_side, longest_side), crop="none")
            if (pixels.interpretation, pixels.format) != ("srgb", "uchar"):
                pixels = pixels.colourspace("srgb").cast("uchar")
            pixels = pixels.copy_memory()
            png: bytes = pixels.pngsave_buffer(compression=PNG_COMPRESSION, filter="all", keep="none")
        return png

    def _read(self, path: Path, work: Callable[[Callable[[], pyvips.Source]], T]) -> tuple[T, bool]:
        """The result of `work` on the file, and whether the file is a JPEG that lacks only its end marker. Raises
        `Undecodable`."""
        try:
            return work(lambda: _source(path)), False
        except (pyvips.Error, OSError) as error:
            undecodable = Undecodable(" ".join(str(error).split()))
        try:
            if not self._lacks_only_its_end(path):
                raise undecodable
            with regular.open_file(path) as file:
                return work(lambda: jpeg.Ended(file).source()), True
        except (pyvips.Error, OSError):
            raise undecodable from None

    def _lacks_only_its_end(self, path: Path) -> bool:
        """Whether only its end marker is missing. Finding out takes two decodes at once."""
        size = 2 * decoding_bytes(pyvips.Image.new_from_source(_source(path), "", access="sequential"))
        with self._memory.taken(min(size, self._memory.most)):
            return jpeg.lacks_only_its_end(path)

    def _header(self, source: Callable[[], pyvips.Source]) -> pyvips.Image:
        header = pyvips.Image.new_from_source(source(), "", access="sequential")
        if header.width * header.height > self.max_pixels:
            raise TooManyPixels(f"{header.width}x{header.height} pixels are more than {self.max_pixels}")
        return header

    def _weighed(self, header: pyvips.Image, besides: int = 0) -> int:
        """The bytes that decoding needs. Raises `TooManyPixels` for an image that needs more than all decodes
        may have."""
        size = decoding_bytes(header) + besides
        if size > self._memory.most:
            raise TooManyPixels(
                f"{header.width}x{header.height} pixels, as this file has them, need {size // 2**20} MB of memory to be"
                f" decoded, and there are {self._memory.most // 2**20} MB for it"
            )
        return size

    def _render(self, source: Callable[[], pyvips.Source], quality: int, small: bool, large: bool) -> Rendered:
        header = self._header(source)
        size = _as_shown(header)
        has_large = large and large_size(size) is not None
        if not small and not has_large:
            return Rendered(size, None, None, None)
        box = fitted(size, LARGE_SIDE if has_large else SMALL_SIDE)
        with self._memory.taken(self._weighed(header)):
            reader = source()  # libvips reads on, and does not keep the object alive
            pixels = _decoded(reader, header, box).copy_memory()
        made = _encode(pixels, quality) if has_large else None
        if not small:
            return Rendered(size, None, made, None)
        if has_large:
            box = fitted(size, SMALL_SIDE)
            pixels = pixels.thumbnail_image(box.width, height=box.height, size="down", crop="centre").copy_memory()
        return Rendered(size, _encode(pixels, quality), made, _hash(pixels))

    def close(self) -> None:
        """Waits for running work. Work that has not begun is dropped."""
        self._threads.shutdown(cancel_futures=True)


def _source(path: Path) -> pyvips.Source:
    opened = regular.descriptor(path)
    try:
        return pyvips.Source.new_from_descriptor(opened)  # which keeps a reference of its own
    finally:
        os.close(opened)


def _as_shown(header: pyvips.Image) -> Size:
    turned = header.get_typeof("orientation") and header.get("orientation") in QUARTER_TURNS
    return Size(header.height, header.width) if turned else Size(header.width, header.height)


def _decoded(source: pyvips.Source, header: pyvips.Image, box: Size, *, crop: str = "centre") -> pyvips.Image:
    """The whole image, scaled down to the box, in sRGB."""
    # Converting colours is a third of the cost: only if a profile says that they are not sRGB already.
    profile = {"export_profile": "srgb"} if header.get_typeof("icc-profile-data") else {}
    options = {"height": box.height, "size": "down", "crop": crop, **profile}
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
        # Averaging whole pixels costs a third of that, and a thumbhash keeps only a few frequencies.
        factor = math.ceil(max(image.width, image.height) / thumbhash.MAX_SIDE)
        tiny = image.shrink(min(factor, image.width), min(factor, image.height))
    if (tiny.interpretation, tiny.format) != ("srgb", "uchar"):
        tiny = tiny.colourspace("srgb").cast("uchar")
    pixels = np.frombuffer(tiny.write_to_memory(), np.uint8).reshape(tiny.height, tiny.width, tiny.bands)
    return base64.b64encode(thumbhash.encode(pixels)).decode()

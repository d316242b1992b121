"""Verifying, decoding and hashing pictures: nothing damaged passes, nothing hostile is decoded."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from service.media import png, sizes, thumbhash
from service.media.decode_memory import BASE, EACH_ROW, LEAST, MOST, Memory, bytes_for_decodes, decoding_bytes
from service.media.imaging import Imaging, Rendition, TooManyPixels, Undecodable

Pixels = npt.NDArray[np.uint8]


def picture(width: int = 400, height: int = 300, bands: int = 3) -> Pixels:
    y, x = np.mgrid[0:height, 0:width]
    colours = np.zeros((height, width, bands), np.uint8)
    for band in range(bands):
        colours[..., band] = (x * (band + 1) + y * 3) % 256
    return colours


def encoded(pixels: Pixels, suffix: str = ".png", **options: object) -> bytes:
    image = pyvips.Image.new_from_array(pixels, interpretation="b-w" if pixels.shape[-1] == 1 else "srgb")
    content: bytes = image.write_to_buffer(suffix, **options)
    return content


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def handmade(*chunks: bytes) -> bytes:
    return png.SIGNATURE + b"".join(chunks)


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


END = chunk(b"IEND", b"")
WHOLE = encoded(picture())


@pytest.fixture(scope="module")
def imaging() -> Iterator[Imaging]:
    imaging = Imaging(max_pixels=2_000_000)
    yield imaging
    imaging.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "[odd] name.png"


def walk(file: Path, content: bytes) -> png.Png:
    file.write_bytes(content)
    return png.walk(file)


# --- The walk over chunks ---


def test_a_whole_png_tells_its_size(file: Path) -> None:
    assert walk(file, WHOLE) == png.Png(400, 300, None)


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_a_png_cut_anywhere_is_damaged(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(png.Damaged):
        walk(tmp_path_factory.getbasetemp() / "cut.png", WHOLE[:cut])


@given(at=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_single_flipped_bit_anywhere_is_damage(at: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    flipped = bytearray(WHOLE)
    flipped[at] ^= 1 << bit
    with pytest.raises(png.Damaged):
        walk(tmp_path_factory.getbasetemp() / "flipped.png", bytes(flipped))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<!DOCTYPE html>", "not a PNG"),
        (encoded(picture(), ".jpg"), "not a PNG"),
        (b"", "not a PNG"),
        (handmade(END), "begin with its header"),
        (handmade(header(0, 5), END), "no size"),
        (handmade(header(5, 5), END), "no pixels"),
        (handmade(header(5, 5), chunk(b"IDAT", b"x")), "before its end chunk"),
        (handmade(header(5, 5), struct.pack(">I4s", 2**31, b"IDAT") + b"x" * 64), "cut off inside"),
    ],
)
def test_what_is_no_whole_png_is_refused_with_the_reason(file: Path, content: bytes, reason: str) -> None:
    with pytest.raises(png.Damaged, match=reason):
        walk(file, content)


def test_bytes_after_the_end_belong_to_the_file(file: Path) -> None:
    assert walk(file, WHOLE + b"appended by somebody").width == 400


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (chunk(b"tEXt", b'invokeai_metadata\0{"seed": 7}'), '{"seed": 7}'),
        (chunk(b"iTXt", b'invokeai_metadata\0\0\0\0\0{"p": "' + "zażółć".encode() + b'"}'), '{"p": "zażółć"}'),
        (chunk(b"iTXt", b"invokeai_metadata\0\1\0\0\0compressed"), None),
        (chunk(b"iTXt", b"invokeai_metadata\0\0"), None),
        (chunk(b"tEXt", b"invokeai_graph\0{}"), None),
    ],
)
def test_invokeais_own_text_is_found_inside(file: Path, text: bytes, found: str | None) -> None:
    content = handmade(header(5, 5), text, chunk(b"IDAT", b"x"), END)
    assert walk(file, content).metadata == found


def exif(orientation: int, order: str = "<") -> bytes:
    entries = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return chunk(b"eXIf", (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 1) + entries)


@pytest.mark.parametrize(
    ("block", "size"),
    [
        (exif(1), (7, 5)),
        (exif(3), (7, 5)),
        (exif(6), (5, 7)),
        (exif(8, ">"), (5, 7)),
        (exif(9), (7, 5)),
        (chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"), (7, 5)),
        (chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff"), (7, 5)),
        (chunk(b"eXIf", b""), (7, 5)),
        (exif(1) + exif(6), (7, 5)),
        (exif(6) + exif(1), (5, 7)),
    ],
)
def test_the_size_is_as_the_picture_is_shown(file: Path, block: bytes, size: tuple[int, int]) -> None:
    walked = walk(file, handmade(header(7, 5), block, chunk(b"IDAT", b"x"), END))
    assert (walked.width, walked.height) == size


def test_what_stands_behind_the_pixels_turns_nothing(file: Path) -> None:
    walked = walk(file, handmade(header(7, 5), chunk(b"IDAT", b"x"), exif(6), END))
    assert (walked.width, walked.height) == (7, 5)


# --- Renditions ---


def thumbnail(imaging: Imaging, file: Path, content: bytes) -> tuple[pyvips.Image, bytes]:
    file.write_bytes(content)
    made = imaging.render(file, 85)
    return pyvips.Image.new_from_buffer(made.small.webp, ""), base64.b64decode(made.thumbhash)


@pytest.mark.parametrize(
    ("size", "small", "large"),
    [
        ((1600, 1200), (360, 270), (1080, 810)),
        ((400, 300), (360, 270), (400, 300)),
        ((300, 900), (120, 360), (300, 900)),
        ((360, 200), (360, 200), None),
        ((1, 1), (1, 1), None),
        ((4000, 400), (360, 75), (1080, 108)),
        ((300, 6000), (75, 360), (75, 1080)),
        ((4000, 3), (360, 3), (1080, 3)),
        ((30, 2000), (30, 360), (30, 1080)),
    ],
)
def test_renditions_are_360_and_1080_long_never_enlarged_and_no_line_is_made_of_a_strip(
    imaging: Imaging, file: Path, size: tuple[int, int], small: tuple[int, int], large: tuple[int, int] | None
) -> None:
    file.write_bytes(encoded(picture(*size)))
    both = imaging.render(file, 85, large=True)
    assert both.size == size
    assert shown(both.small) == small
    assert (shown(both.large) if both.large else None) == large
    assert both.thumbhash == imaging.render(file, 85).thumbhash or max(size) > 360
    alone = imaging.render(file, 85, small=False, large=True)
    assert (alone.small, alone.thumbhash) == (None, None)
    assert alone.large == both.large
    assert sizes.fitted(both.size, sizes.SMALL_SIDE) == small
    assert sizes.large_size(both.size) == large


def shown(rendition: Rendition | None) -> tuple[int, int]:
    """The size of the picture inside, which is WebP and as large as it says."""
    assert rendition is not None
    image = pyvips.Image.new_from_buffer(rendition.webp, "")
    assert image.get("vips-loader") == "webpload_buffer"
    assert (image.width, image.height) == rendition.size
    return image.width, image.height


def test_a_strip_is_cropped_at_both_ends_alike(imaging: Imaging, file: Path) -> None:
    strip = np.zeros((60, 3000, 3), np.uint8)
    strip[:, 1400:1600] = 255
    small, _ = thumbnail(imaging, file, encoded(strip))
    columns = small.numpy().mean(axis=(0, 2))
    assert columns[90:270].min() > 200
    assert max(columns[:60].max(), columns[-60:].max()) < 50


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_size_and_renditions_are_turned_alike_as_the_file_asks_for(
    imaging: Imaging, file: Path, suffix: str, orientation: int
) -> None:
    quarters = np.zeros((400, 600, 3), np.uint8)
    quarters[:200, :300] = 250
    if suffix == ".jpg":
        image = pyvips.Image.new_from_array(quarters, interpretation="srgb").copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        file.write_bytes(image.jpegsave_buffer(Q=95))
    else:
        plain = encoded(quarters, keep="none")
        file.write_bytes(plain[:33] + exif(orientation) + plain[33:])
        walked = png.walk(file)
        assert (walked.width, walked.height) == imaging.render(file, 85).size
    rendered = imaging.render(file, 85, large=True)
    assert rendered.size == ((600, 400) if orientation < 5 else (400, 600))
    bright = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}[orientation]
    for rendition in (rendered.small, rendered.large):
        assert rendition is not None
        pixels = pyvips.Image.new_from_buffer(rendition.webp, "").numpy()
        height, width = pixels.shape[:2]
        across, down = bright
        corner = pixels[down * (height - 20) : height if down else 20, across * (width - 20) : width if across else 20]
        assert corner.mean() > 200, (orientation, rendition.size)
        assert pixels.mean() < 90


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_colour_grey_and_transparency_come_through(imaging: Imaging, file: Path, bands: int, suffix: str) -> None:
    small, hashed = thumbnail(imaging, file, encoded(picture(bands=bands), suffix))
    assert small.hasalpha() == (bands == 4)
    assert bool(hashed[2] & 0x80) == (bands == 4)


def test_the_thumbnail_shows_the_picture(imaging: Imaging, file: Path) -> None:
    halves = np.zeros((600, 600, 3), np.uint8)
    halves[:, :300] = (250, 10, 10)
    halves[:, 300:] = (10, 10, 250)
    small, hashed = thumbnail(imaging, file, encoded(halves))
    left, right = small.numpy()[:, :160].mean(axis=(0, 1)), small.numpy()[:, 200:].mean(axis=(0, 1))
    assert np.abs(left - (250, 10, 10)).max() < 6
    assert np.abs(right - (10, 10, 250)).max() < 6
    assert np.abs(average(hashed)[:3] - np.array([130, 10, 130]) / 255).max() < 0.04


def test_a_wide_gamut_picture_is_shown_in_srgb(imaging: Imaging, file: Path) -> None:
    plain = pyvips.Image.new_from_array(np.full((50, 50, 3), (200, 80, 60), np.uint8), interpretation="srgb")
    file.write_bytes(plain.pngsave_buffer(profile="p3"))
    small, _ = thumbnail(imaging, file, file.read_bytes())
    assert small.numpy().mean(axis=(0, 1))[0] > 205
    assert small.get_typeof("icc-profile-data") == 0


def test_nothing_but_pixels_goes_into_the_thumbnail(imaging: Imaging, file: Path) -> None:
    secret = chunk(b"tEXt", b"Comment\0secret")
    file.write_bytes(WHOLE[: -len(END)] + secret + END)
    assert b"secret" in file.read_bytes()
    assert b"secret" not in imaging.render(file, 85).small.webp


def test_too_many_pixels_are_refused_by_the_header_alone(imaging: Imaging, file: Path) -> None:
    file.write_bytes(handmade(header(50_000, 50_000), chunk(b"IDAT", zlib.compress(b"")), END))
    with pytest.raises(TooManyPixels, match="50000x50000"):
        imaging.render(file, 85)


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-30],
        handmade(header(40, 40), chunk(b"IDAT", b"no zlib stream"), END),
        b"P6 1 1 255 \0\0\0",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>',
        b"",
    ],
    ids=["half", "tail", "pixels", "ppm", "svg", "empty"],
)
def test_what_is_damaged_or_no_allowed_format_is_undecodable(imaging: Imaging, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(Undecodable, match=r"\S"):
        imaging.render(file, 85)


async def test_work_runs_in_a_bounded_number_of_threads_beside_the_loop(imaging: Imaging) -> None:
    names = await asyncio.gather(*(imaging.run(lambda: threading.current_thread().name) for _ in range(50)))
    assert all(name.startswith("imaging") for name in names)


# --- ThumbHash ---


def drawn(kind: str, width: int, height: int) -> Pixels:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.zeros((height, width, 4), np.uint8)
    if kind == "slope":
        bands = (255 * x // width, 255 * y // height, (x * 7 + y * 13) % 256, np.full_like(x, 255))
    else:
        bands = (x * 5 % 256, y * 3 % 256, np.full_like(x, 120), 255 * x // width)
    for band, values in enumerate(bands):
        pixels[..., band] = values
    return pixels


PUBLISHED = [
    ("slope", 100, 60, "df070a349a707787707878777777808008f887"),
    ("slope", 60, 100, "dff709341a700787777777787777808008f778"),
    ("slope", 100, 1, "54f62a71be7677878888088995874f8808"),
    ("slope", 33, 32, "df070a379a70877770888778767785789887070a79708f07"),
    ("faded", 80, 50, "1a57861388372af6b088772ab0a7f27480778888887888"),
    ("faded", 50, 100, "a16886130837d0a208ca36d0a200ddf580878888787887"),
]
"""What the published encoder (thumbhash 0.1.1) makes of the same pixels."""


@pytest.mark.parametrize(("kind", "width", "height", "expected"), PUBLISHED)
def test_the_hash_is_the_published_encoders(kind: str, width: int, height: int, expected: str) -> None:
    ours, theirs = thumbhash.encode(drawn(kind, width, height)), bytes.fromhex(expected)
    head = 6 if theirs[2] & 0x80 else 5
    assert (len(ours), ours[:head]) == (len(theirs), theirs[:head])
    # Sums in another order may round a tie of a sixteenth the other way.
    differences = [abs(a - b) for a, b in zip(nibbles(ours[head:]), nibbles(theirs[head:]), strict=True)]
    assert max(differences) <= 1
    assert sum(differences) <= 6


@pytest.mark.parametrize("colour", [(200, 40, 90, 255), (0, 0, 0, 255), (255, 255, 255, 255), (10, 200, 30, 128)])
def test_a_plain_colour_decodes_to_itself(colour: tuple[int, int, int, int]) -> None:
    pixels = np.full((20, 30, 4), colour, np.uint8)
    assert np.abs(average(thumbhash.encode(pixels)) - np.array(colour) / 255).max() < 0.04


def test_an_opaque_picture_needs_no_alpha() -> None:
    pixels = drawn("slope", 90, 60)
    assert thumbhash.encode(pixels[..., :3]) == thumbhash.encode(pixels)


def test_a_wholly_transparent_picture_has_a_hash() -> None:
    assert average(thumbhash.encode(np.zeros((10, 10, 4), np.uint8)))[3] == 0


@pytest.mark.parametrize("shape", [(101, 10, 4), (10, 101, 3), (10, 10, 2), (0, 10, 4)])
def test_only_small_rgb_or_rgba_pictures_are_hashed(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at most 100"):
        thumbhash.encode(np.zeros(shape, np.uint8))


def nibbles(packed: bytes) -> list[int]:
    return [half for byte in packed for half in (byte & 15, byte >> 4)]


def average(hashed: bytes) -> npt.NDArray[np.float64]:
    """Red, green, blue and alpha, as the published decoder reads the average colour."""
    bits = int.from_bytes(hashed[:3], "little")
    luminance, p, q = (bits & 63) / 63, (bits >> 6 & 63) / 31.5 - 1, (bits >> 12 & 63) / 31.5 - 1
    alpha = (hashed[5] & 15) / 15 if bits >> 23 else 1.0
    blue = luminance - 2 / 3 * p
    red = (3 * luminance - blue + q) / 2
    return np.clip(np.array([red, red - q, blue, alpha]), 0, 1)


# --- Memory ---


def test_pictures_that_need_much_memory_are_decoded_one_after_the_other() -> None:
    memory = Memory(100)
    at_work, most = 0, 0
    lock = threading.Lock()

    def decode(size: int) -> None:
        nonlocal at_work, most
        with memory.taken(size):
            with lock:
                at_work += size
                most = max(most, at_work)
            threading.Event().wait(0.01)
            with lock:
                at_work -= size

    threads = [threading.Thread(target=decode, args=(size,)) for size in (60, 60, 30, 60, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most <= 100


def test_a_picture_that_needs_much_memory_does_not_wait_behind_many_that_need_little() -> None:
    memory = Memory(100)
    begun, may_end, taken = threading.Event(), threading.Event(), threading.Event()
    done: list[str] = []

    def hold() -> None:
        with memory.taken(50):
            begun.set()
            may_end.wait(10)

    def decode(name: str, size: int) -> None:
        with memory.taken(size):
            done.append(name)
        taken.set()

    holding = threading.Thread(target=hold)
    holding.start()
    assert begun.wait(10)
    large = threading.Thread(target=decode, args=("large", 100))
    large.start()
    large.join(0.1)  # it waits for the one that is held
    small = threading.Thread(target=decode, args=("small", 10))
    small.start()
    small.join(0.1)
    may_end.set()
    for thread in (holding, large, small):
        thread.join(10)
    assert done == ["large", "small"]


def of_zeros(width: int, height: int, *, interlaced: bool) -> bytes:
    """A PNG of 16-bit RGBA whose pixels are as good as none: what matters is in its header."""
    size = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, interlaced)
    return handmade(chunk(b"IHDR", size), chunk(b"IDAT", zlib.compress(bytes(100))), END)


@pytest.mark.parametrize(
    "content",
    [of_zeros(14_000, 14_000, interlaced=True), of_zeros(1_000_000, 199, interlaced=False)],
    ids=["interlaced", "a million wide"],
)
def test_a_small_file_that_needs_gigabytes_to_be_decoded_is_refused_by_its_header(file: Path, content: bytes) -> None:
    imaging = Imaging(200_000_000)
    file.write_bytes(content)
    try:
        with pytest.raises(TooManyPixels, match=r"MB of memory"):
            imaging.render(file, 85)
        with pytest.raises(TooManyPixels, match=r"MB of memory"):
            imaging.as_png(file, 2048)
    finally:
        imaging.close()


def test_the_same_pixels_row_by_row_are_decoded(file: Path) -> None:
    imaging = Imaging(2_000_000, decode_bytes=BASE + EACH_ROW * 3_000 + 400 * 3 * 2_000)
    try:
        file.write_bytes(encoded(picture(400, 3_000), interlace=True))
        with pytest.raises(TooManyPixels):
            imaging.render(file, 85)
        file.write_bytes(encoded(picture(400, 3_000)))
        assert imaging.render(file, 85).size == (400, 3_000)
    finally:
        imaging.close()


def test_decodes_have_a_quarter_of_the_memory_and_a_gigabyte_at_most() -> None:
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert LEAST <= bytes_for_decodes() <= min(MOST, max(LEAST, there // 4))


@pytest.mark.parametrize(
    ("height", "suffix", "options", "rows"),
    [
        (200, ".png", {}, 900),
        (3000, ".png", {}, 1400),
        (3000, ".png", {"interlace": True}, 3000),
        (3000, ".jpg", {}, 1400),
        (3000, ".jpg", {"interlace": True}, 3300),
        (3000, ".jpg", {"interlace": True, "subsample_mode": "off"}, 6000),
        (3000, ".webp", {"effort": 0}, 3000),
        (3000, ".avif", {"effort": 0}, 15_000),
    ],
    ids=["small", "png", "interlaced", "jpeg", "progressive", "progressive with all colours", "webp", "avif"],
)
def test_what_a_decoder_keeps_whole_needs_memory_for_all_of_it(
    height: int, suffix: str, options: dict[str, object], rows: int
) -> None:
    content = encoded(picture(400, height), suffix, **options)
    header_alone = pyvips.Image.new_from_buffer(content, "", access="sequential")
    assert decoding_bytes(header_alone) == BASE + EACH_ROW * header_alone.height + 400 * 3 * rows


# --- JPEGs without an end ---


@pytest.mark.parametrize("progressive", [False, True])
def test_of_a_jpeg_nothing_but_its_end_marker_may_be_missing(
    imaging: Imaging, tmp_path: Path, progressive: bool
) -> None:
    """A cut between two scans of a progressive one looks whole, only coarser."""
    grain = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    content = encoded(grain, ".jpg", Q=60, interlace=progressive)
    file = tmp_path / "x.jpg"
    taken = []
    between_scans = {len(content) - found.start() for found in re.finditer(b"\xff[\xc4\xda]", content)}
    for missing in sorted({*range(30), *range(30, len(content), 97), *between_scans}):
        file.write_bytes(content[: len(content) - missing])
        try:
            taken.append((missing, imaging.render(file, 85).lacks_end))
        except Undecodable:
            continue
    # Of the last byte before the marker, only the bits that fill it may be missing.
    assert taken[:3] == [(0, False), (1, True), (2, True)]
    assert {missing for missing, _ in taken} <= {0, 1, 2, 3}


def test_bytes_behind_a_jpegs_end_are_the_files_own(imaging: Imaging, tmp_path: Path) -> None:
    file = tmp_path / "motion.jpg"
    file.write_bytes(encoded(picture(), ".jpg") + b"\0\0\0\x18ftypmp42" + bytes(3000))
    assert not imaging.render(file, 85).lacks_end

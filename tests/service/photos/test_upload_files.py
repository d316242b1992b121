"""Files of every kind and fault, uploaded: what is taken, how it is shown, and what is refused (whole upload or
nothing)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import pyvips

from service.database.engine import Connection
from service.media.formats import AVIF, GIF, JPEG, PNG, TIFF, WEBP, Format
from service.media.storage import LocalStorage
from tests.fakes.upload_files import (
    BLUE,
    END,
    FOLDER,
    GREEN,
    RED,
    WHITE,
    animation,
    chunk,
    gif_of,
    heic,
    of_every_kind,
    pages,
    png_header,
    png_with,
    quarters,
    sample,
    saved,
    turned_jpeg,
    with_profile,
)
from tests.service.photos.uploading import files, form, nothing_is_left, originals, refused, upload

UPRIGHT = (RED, GREEN, BLUE, WHITE)
"""Top left, top right, bottom left, bottom right."""
TURNED = {
    1: UPRIGHT,
    2: (GREEN, RED, WHITE, BLUE),
    3: (WHITE, BLUE, GREEN, RED),
    4: (BLUE, WHITE, RED, GREEN),
    5: (RED, BLUE, GREEN, WHITE),
    6: (BLUE, RED, WHITE, GREEN),
    7: (WHITE, GREEN, BLUE, RED),
    8: (GREEN, WHITE, RED, BLUE),
}
CLOSE = 14
"""Of 255: WebP and conversions change colours a little."""
# TIFF's and PNG's Exif layout: one directory with the orientation alone.
EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0"


async def shown(client: aiohttp.ClientSession, photo: Any, size: str = "small") -> pyvips.Image:
    async with client.get(f"/api/v1/photos/{photo['id']}/thumbnail?size={size}") as response:
        assert response.status == 200, await response.text()
        return pyvips.Image.new_from_buffer(await response.read(), "")


def corners(image: pyvips.Image) -> list[list[float]]:
    right, bottom = image.width - 1 - image.width // 8, image.height - 1 - image.height // 8
    left, top = image.width // 8, image.height // 8
    return [image(x, y) for x, y in ((left, top), (right, top), (left, bottom), (right, bottom))]


def look_like(image: pyvips.Image, colours: tuple[tuple[int, ...], ...]) -> bool:
    return all(
        abs(found - wanted) <= CLOSE
        for corner, colour in zip(corners(image), colours, strict=True)
        for found, wanted in zip(corner, colour, strict=False)
    )


def exif_png(orientation: int) -> bytes:
    return png_with(chunk(b"eXIf", EXIF % orientation))


def jpeg_with_cut_exif() -> bytes:
    content = saved(quarters(), ".jpg", Q=95, keep="none")
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12"
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + content[2:]


# --- What is taken ---

WHOLE: dict[str, tuple[Callable[[], bytes], Format]] = {
    **{
        name: (make, kind)
        for (name, make), kind in zip(of_every_kind().items(), (PNG, JPEG, WEBP, AVIF, GIF, TIFF), strict=True)
    },
    **{
        name: (lambda name=name: sample(name), PNG)  # type: ignore[misc]
        for name in (
            "png-apng-2frames.png",
            "png-icc-garbage.png",
            "png-icc-p3.png",
            "png-interlaced.png",
            "png-palette.png",
            "png-rgb16.png",
            "png-trailing-bytes.png",
            "png-many-small-idat.png",
            "meta-a1111.png",
            "meta-comfy-nan.png",
            "meta-invokeai-emoji-nul.png",
            "meta-novelai.png",
        )
    },
    "a JPEG named .png": (lambda: sample("jpeg-named-png.png"), JPEG),
    "a progressive JPEG": (lambda: sample("jpeg-progressive.jpg"), JPEG),
    "an impossible orientation": (lambda: sample("jpeg-orientation-99.jpg"), JPEG),
    "a cut Exif block": (jpeg_with_cut_exif, JPEG),
    "a motion photo": (lambda: sample("jpeg-rgb.jpg") + struct.pack(">I", 24) + b"ftypmp42" + bytes(12), JPEG),
    "a profile of another kind": (lambda: with_profile(quarters(), ".png", "cmyk"), PNG),
    "a JPEG with a broken profile": (lambda: with_profile(quarters(), ".jpg", b"no profile at all" * 20), JPEG),
    "TIFF of 16 bits": (lambda: sample("tiff-16bit.tif"), TIFF),
    "TIFF of two pages": (lambda: sample("tiff-2pages.tif"), TIFF),
    "TIFF of floating point": (lambda: saved(quarters().colourspace("scrgb"), ".tif"), TIFF),
    "BigTIFF": (lambda: saved(quarters(), ".tif", bigtiff=True), TIFF),
    "TIFF in tiles": (lambda: saved(quarters(), ".tif", tile=True, tile_width=32, tile_height=32), TIFF),
    "AVIF of ten bits": (lambda: saved(quarters(), ".avif", bitdepth=10, Q=90), AVIF),
    "an animated WebP": (lambda: animation(4, ".webp"), WEBP),
    "an animated GIF": (lambda: sample("gif-animated.gif"), GIF),
    "a WebP without loss": (lambda: saved(quarters(), ".webp", lossless=True), WEBP),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_every_kind_is_kept_byte_for_byte_and_shown_as_it_is(
    client: aiohttp.ClientSession, storage: LocalStorage, name: str
) -> None:
    make, kind = WHOLE[name]
    content = make()
    photo = await upload(client, content, "holiday.picture")
    assert (photo["width"], photo["height"], photo["mime_type"]) == (96, 64, kind.mime_type)
    assert (photo["retrieval_status"], photo["source"], photo["damaged"]) == ("completed", "uploaded", False)
    assert photo["filename"] == f"holiday.picture{kind.extension}"
    day = photo["created_at"][:10]
    assert files(storage) == [
        f"thumbnails/uploaded/{day}/{photo['id']}.webp",
        f"uploaded/{day}/{photo['id']}{kind.extension}",
    ]
    assert look_like(await shown(client, photo), UPRIGHT)
    async with client.get(photo["url"]) as response:
        assert await response.read() == content
        assert response.headers["Content-Type"] == kind.mime_type
        assert response.headers["Content-Disposition"].startswith("inline")


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("make", [turned_jpeg, exif_png], ids=["jpeg", "png"])
async def test_a_picture_is_turned_as_its_file_asks(
    client: aiohttp.ClientSession, make: Callable[[int], bytes], orientation: int
) -> None:
    photo = await upload(client, make(orientation))
    assert (photo["width"], photo["height"]) == ((64, 96) if orientation > 4 else (96, 64))
    assert look_like(await shown(client, photo), TURNED[orientation])


@pytest.mark.parametrize("profile", [True, False], ids=["with its profile", "without one"])
@pytest.mark.parametrize("ending", [".jpg", ".tif"])
async def test_cmyk_is_shown_in_colours_that_are_not_negative(
    client: aiohttp.ClientSession, ending: str, profile: bool
) -> None:
    printed = quarters().icc_transform("cmyk", input_profile="srgb")
    content = saved(printed, ending, keep="icc" if profile else "none")
    image = await shown(client, await upload(client, content))
    (red, green, blue, white) = corners(image)
    assert red[0] > red[1] + 100
    assert green[1] > green[2] + 60
    assert blue[2] > blue[0] + 60
    assert min(white) > 200
    assert image.interpretation == "srgb"


@pytest.mark.parametrize(
    ("name", "has_alpha"),
    [
        ("png-grey8.png", False),
        ("png-grey16.png", False),
        ("png-greyalpha8.png", True),
        ("png-1bit.png", False),
        ("png-palette-trns.png", True),
        ("png-rgba8-transparent.png", True),
        ("jpeg-grey.jpg", False),
        ("png-grey-with-rgb-icc.png", False),
        ("webp-alpha.webp", False),
    ],
)
async def test_grey_and_transparent_pictures_keep_their_look(
    client: aiohttp.ClientSession, name: str, has_alpha: bool
) -> None:
    photo = await upload(client, sample(name))
    image = await shown(client, photo)
    assert image.hasalpha() == has_alpha
    assert (image.width, image.height) == (photo["width"], photo["height"]) == (96, 64)


async def test_a_transparent_picture_of_16_bits_keeps_its_alpha(client: aiohttp.ClientSession) -> None:
    grey = pyvips.Image.black(40, 30).linear(1, 40_000).bandjoin(20_000).cast("ushort")
    image = await shown(client, await upload(client, saved(grey.copy(interpretation="grey16"), ".png")))
    assert image.hasalpha()
    assert abs(image(5, 5)[3] - 20_000 / 257) < 4


async def test_a_jpeg_that_lacks_its_end_alone_is_taken_as_damaged(client: aiohttp.ClientSession) -> None:
    content = sample("jpeg-cut-last-2.jpg")
    photo = await upload(client, content)
    assert photo["damaged"]
    assert look_like(await shown(client, photo), UPRIGHT)
    async with client.get(f"/api/v1/photos/{photo['id']}") as response:
        assert (await response.json())["damaged"]
    async with client.get(photo["url"]) as response:
        assert await response.read() == content


@pytest.mark.parametrize(
    ("content", "size", "small"),
    [
        (lambda: sample("png-1x1.png"), (1, 1), (1, 1)),
        (lambda: sample("png-20000x1.png"), (20_000, 1), (360, 1)),
        (lambda: saved(quarters(2, 30_000).rot90(), ".png"), (30_000, 2), (360, 2)),
        (lambda: saved(quarters(2, 60_000), ".png"), (2, 60_000), (2, 360)),
        (lambda: sample("png-panorama-30000x300.png"), (30_000, 300), (360, 75)),
        (lambda: sample("png-100mp-bomb.png"), (10_000, 10_000), (360, 360)),
    ],
)
async def test_strips_and_giants_are_shown_small(
    client: aiohttp.ClientSession, content: Callable[[], bytes], size: tuple[int, int], small: tuple[int, int]
) -> None:
    photo = await upload(client, content())
    assert (photo["width"], photo["height"]) == size
    image = await shown(client, photo)
    assert (image.width, image.height) == small


async def test_of_one_pixel_by_sixty_thousand_something_is_shown(client: aiohttp.ClientSession) -> None:
    photo = await upload(client, saved(quarters(2, 60_000).crop(0, 0, 1, 60_000), ".png"))
    assert (photo["width"], photo["height"]) == (1, 60_000)
    assert (await shown(client, photo)).height == 360


async def test_text_without_end_inside_a_small_file_costs_nothing(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    bomb = zlib.compress(b"a" * 60_000_000)
    photo = await upload(client, png_with(chunk(b"iTXt", b"parameters\0\1\0\0\0" + bomb)))
    kept = await connection.fetchval("SELECT length(source_text) FROM photos WHERE id = $1", photo["id"])
    assert (kept or 0) <= 65_536


async def test_every_sample_is_either_shown_or_refused_in_words(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage
) -> None:
    for path in sorted(FOLDER.iterdir()):
        async with client.post("/api/v1/photos", data=form(path.read_bytes())) as response:
            body = await response.json()
            assert response.status in (201, 415), (path.name, body)
            if response.status == 201:
                await shown(client, body)
    assert len(originals(storage)) == await connection.fetchval("SELECT count(*) FROM photos")


# --- What is refused ---

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "a word": (lambda: b"hello", "not a picture"),
    "HTML": (lambda: sample("not-an-image.png"), "HTML"),
    "HTML behind space": (lambda: b"\n\n  <!DOCTYPE html><html><script>alert(1)</script></html>", "HTML"),
    "SVG": (lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "SVG"),
    "PDF": (lambda: b"%PDF-1.7\n" + bytes(100), "PDF"),
    "HEIC": (heic, "HEIC"),
    "a video": (lambda: struct.pack(">I", 24) + b"ftypmp42\0\0\0\0mp42isom" + bytes(100), "video"),
    "JPEG XL": (lambda: b"\xff\x0a" + bytes(100), "JPEG XL"),
    "BMP": (lambda: b"BM" + bytes(100), "BMP"),
    "ZIP": (lambda: b"PK\3\4" + bytes(100), "ZIP"),
    "PNG without pixels": (lambda: sample("png-no-idat.png"), "no pixels"),
    "PNG cut before its end": (lambda: sample("png-cut-before-iend.png"), "before its end"),
    "PNG with a wrong checksum": (lambda: sample("png-crc-of-text-wrong.png"), "checksum"),
    "PNG cut in its pixels": (lambda: sample("png-cut-in-idat.png"), "cut off"),
    "JPEG cut in half": (lambda: sample("jpeg-cut-half.jpg"), "damaged"),
    "a header alone": (lambda: sample("jpeg-rgb.jpg")[:20], "damaged"),
    "pixels that are none": (lambda: png_with()[:33] + chunk(b"IDAT", b"no zlib stream") + END, "damaged"),
    "GIF without pixels": (lambda: b"GIF89a" + bytes(7) + b";", "no pixels"),
    "TIFF in a ring": (lambda: b"II*\0\x08\0\0\0" + struct.pack("<HI", 0, 8) + bytes(20), "ring"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_whole_picture_is_refused_in_words(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, name: str
) -> None:
    make, words = REFUSED[name]
    assert words in await refused(client, make())
    assert await nothing_is_left(connection, storage)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: png_header(50_000, 50_000), "50000x50000 pixels"),
        (lambda: gif_of(10_000), "10000 frames"),
        (lambda: pages(1_000), "500 pages"),
        (lambda: png_with(chunk(b"acTL", struct.pack(">II", 10_000, 0))), "10000 frames"),
    ],
    ids=["pixels", "frames", "pages", "frames of a PNG"],
)
async def test_more_than_is_taken_is_refused_before_it_is_decoded(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    content: Callable[[], bytes],
    words: str,
) -> None:
    assert words in await refused(client, content(), 413)
    assert await nothing_is_left(connection, storage)


@pytest.mark.parametrize("kind", of_every_kind())
async def test_a_cut_file_is_refused_wherever_it_was_cut(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, kind: str
) -> None:
    content = of_every_kind()[kind]()
    for percent in (1, 5, 10, 25, 50, 75, 90, 95, 99):
        await refused(client, content[: len(content) * percent // 100])
    await refused(client, content[:-3])
    assert await nothing_is_left(connection, storage)


@pytest.mark.parametrize("kind", of_every_kind())
async def test_a_file_with_flipped_bits_is_taken_or_refused_and_nothing_else(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, kind: str
) -> None:
    content = of_every_kind()[kind]()
    for at in range(0, len(content), max(1, len(content) // 25)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        async with client.post("/api/v1/photos", data=form(bytes(flipped))) as response:
            assert response.status in (200, 201, 413, 415), await response.text()
            if kind == "png":
                assert response.status == 415
    assert len(originals(storage)) == await connection.fetchval("SELECT count(*) FROM photos")


@pytest.mark.parametrize("behind", [b"<html><script>alert(1)</script>", b"PK\3\4" + bytes(50), b"%PDF-1.7"])
async def test_a_file_of_two_kinds_is_served_as_the_picture_it_is(client: aiohttp.ClientSession, behind: bytes) -> None:
    content = saved(quarters(), ".png") + behind
    photo = await upload(client, content, "both.html")
    assert photo["filename"] == "both.html.png"
    async with client.get(photo["url"]) as response:
        assert response.headers["Content-Type"] == "image/png"
        assert await response.read() == content

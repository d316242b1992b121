"""What is read of uploaded files: the texts of each kind of file, and what they say of the image."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import pyvips

from service.demo.png import chunk
from service.media.metadata.read import Found, read
from tests.fakes.picture_texts import (
    UPLOADS,
    USER_COMMENT,
    compressed_chunk,
    exif,
    gif_with,
    jpeg_exif,
    jpeg_segment,
    jpeg_with,
    png_texts,
    png_with,
    read_bytes,
    saved_with,
    text_chunk,
    tiff_with,
    user_comment,
    webp_with,
    wide_chunk,
)

A1111 = (
    "a lighthouse, 灯台 🌅\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 96x64"
)
COMFY = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": 4, "positive": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a harbor"}},
}
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {attributes}>{elements}</rdf:Description></rdf:RDF>'
    "</x:xmpmeta>"
)


def told(found: Found) -> dict[str, Any]:
    assert found.parameters is not None
    metadata: dict[str, Any] = msgspec.json.decode(found.parameters.metadata or "{}")
    return metadata


@pytest.mark.parametrize(
    ("name", "prompt", "negative", "seed", "model"),
    [
        (
            "meta-a1111.png",
            "a lighthouse at dusk, (masterpiece:1.2), <lora:foo_v2:0.8>\nsecond line of prompt",
            "blurry, Steps: 4, low quality",
            1234567890,
            "v1-5-pruned-emaonly",
        ),
        ("meta-a1111-itxt-emoji.png", "a 🌅 lighthouse, 灯台", None, 1, "ねこ"),
        ("jpeg-a1111-usercomment.jpg", "a lighthouse, 灯台", None, 5, None),
        ("meta-a1111-no-negative.png", "only a prompt, with the words Steps: many", None, 4294967295, None),
        (
            "meta-comfy.png",
            "beautiful scenery nature glass bottle",
            "text, watermark",
            156680208700286,
            "v1-5-pruned-emaonly",
        ),
        (
            "meta-comfy-nan.png",
            "beautiful scenery nature glass bottle",
            "text, watermark",
            156680208700286,
            "v1-5-pruned-emaonly",
        ),
        ("meta-invokeai.png", "a lighthouse", None, 42, "tiny"),
        ("meta-invokeai-nan.png", "a lighthouse", None, 42, "tiny"),
        ("meta-invokeai-ref-none.png", "a lighthouse", None, 42, "tiny"),
        ("meta-invokeai-emoji-nul.png", "🌅 灯台 ? lone", None, 42, "tiny"),
        ("meta-invokeai-v2-sdmetadata.png", "harbor at dawn", None, 2490388755, "stable-diffusion-1.5"),
        ("meta-novelai.png", "1girl, solo", "lowres", 7, "Stable Diffusion XL"),
    ],
)
def test_files_of_each_program(name: str, prompt: str, negative: str | None, seed: int, model: str | None) -> None:
    found = read(UPLOADS / name)
    assert found.parameters is not None
    known = found.parameters
    assert (known.prompt, known.negative_prompt, known.seed, known.model_name) == (prompt, negative, seed, model)
    assert (found.text, found.rating) == (None, None)
    written_by = next(program for word, program in PROGRAMS.items() if word in name)
    assert found.written_by == written_by
    assert told(found).get("taken_from") == (None if written_by == "invokeai" else written_by)


PROGRAMS = {"a1111": "automatic1111", "comfy": "comfyui", "invokeai": "invokeai", "novelai": "novelai"}


def test_the_size_that_was_asked_for_is_kept_beside_the_files_own() -> None:
    metadata = told(read(UPLOADS / "meta-a1111.png"))
    assert (metadata["width"], metadata["height"]) == (512, 768)
    assert metadata["model"] == {"name": "v1-5-pruned-emaonly", "hash": "6ce0161689"}
    assert metadata["loras"] == [{"model": {"name": "foo_v2", "hash": "0123456789ab"}, "weight": 0.8}]


def test_a_rating_in_xmp_is_read() -> None:
    assert read(UPLOADS / "meta-xmp-rating.png").rating == 4


@pytest.mark.parametrize(
    "content",
    [
        png_with(wide_chunk("parameters", A1111.encode())),
        png_with(wide_chunk("parameters", A1111.encode(), compressed=True)),
        png_with(compressed_chunk("parameters", A1111.encode())),
        png_with(chunk(b"tEXt", b"parameters\0" + A1111.encode())),
        png_with(chunk(b"eXIf", user_comment(A1111))),
        png_with(chunk(b"eXIf", b"Exif\0\0" + user_comment(A1111, order="<"))),
        jpeg_exif(user_comment(A1111)),
        jpeg_exif(user_comment(A1111, order="<")),
        jpeg_exif(user_comment(A1111, order="<", written=">")),
        jpeg_exif(user_comment(A1111, order=">", written="<")),
        jpeg_exif(exif(own={USER_COMMENT: b"UNICODE\0" + A1111.encode("utf-16")})),
        jpeg_exif(exif(own={USER_COMMENT: b"UNICODE\0" + A1111.encode()})),
        jpeg_exif(exif(own={USER_COMMENT: b"ASCII\0\0\0" + A1111.encode() + b"\0"})),
        jpeg_exif(exif(own={USER_COMMENT: bytes(8) + A1111.encode()})),
        jpeg_exif(exif(own={USER_COMMENT: A1111.encode()})),
        jpeg_exif(exif({USER_COMMENT: A1111.encode()})),
        jpeg_exif(exif({0x010E: A1111.encode() + b"\0"})),
        jpeg_with(jpeg_segment(0xFE, A1111.encode())),
        jpeg_with(
            jpeg_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), jpeg_segment(0xE1, b"Exif\0\0" + user_comment(A1111))
        ),
        webp_with(EXIF=user_comment(A1111)),
        webp_with(EXIF=b"Exif\0\0" + user_comment(A1111, order="<")),
        saved_with(".jpg", exif_data=b"Exif\0\0" + user_comment(A1111)),
        saved_with(".webp", exif_data=b"Exif\0\0" + user_comment(A1111)),
        saved_with(".avif", exif_data=b"Exif\0\0" + user_comment(A1111)),
        saved_with(".png", exif_data=b"Exif\0\0" + user_comment(A1111)),
        tiff_with(A1111),
        user_comment(A1111),
        gif_with(A1111),
    ],
)
def test_the_same_words_are_read_wherever_a_file_keeps_them(tmp_path: Path, content: bytes) -> None:
    found = read_bytes(tmp_path, content)
    assert found.written_by == "automatic1111"
    assert found.parameters is not None
    assert (found.parameters.prompt, found.parameters.negative_prompt) == ("a lighthouse, 灯台 🌅", "blurry")
    assert found.parameters.seed == 5


def test_the_first_text_of_a_name_counts(tmp_path: Path) -> None:
    other = A1111.replace("Seed: 5", "Seed: 6")
    chunks = [wide_chunk("parameters", text.encode()) for text in (A1111, other)]
    found = read_bytes(tmp_path, png_with(*chunks, text_chunk("parameters", "nothing")))
    assert found.parameters is not None
    assert found.parameters.seed == 5


@pytest.mark.parametrize("prefix", ["prompt", "Prompt"])
def test_a_webp_of_comfyui_has_its_graph_in_exif(tmp_path: Path, prefix: str) -> None:
    prompt = f"{prefix}:{msgspec.json.encode(COMFY).decode()}".encode()
    found = read_bytes(tmp_path, webp_with(EXIF=exif({0x0110: prompt, 0x010F: b'workflow:{"nodes": []}'})))
    assert (found.written_by, found.parameters and found.parameters.prompt) == ("comfyui", "a harbor")


def test_an_animated_png_of_comfyui_has_a_chunk_of_its_own(tmp_path: Path) -> None:
    found = read_bytes(tmp_path, png_with(chunk(b"comf", b"prompt\0" + msgspec.json.encode(COMFY))))
    assert found.parameters is not None
    assert found.parameters.prompt == "a harbor"


@pytest.mark.parametrize(
    ("xmp", "rating"),
    [
        (XMP.format(attributes='xmp:Rating="4"', elements=""), 4),
        (XMP.format(attributes="xmp:Rating='0'", elements=""), 0),
        (XMP.format(attributes="", elements="<xmp:Rating>5</xmp:Rating>"), 5),
        (XMP.format(attributes='xap:Rating = "3.0"', elements=""), 3),
        (XMP.format(attributes='xmp:Rating="-1"', elements=""), None),
        (XMP.format(attributes='xmp:Rating="99"', elements=""), None),
        (XMP.format(attributes='xmp:Rating="four"', elements=""), None),
        (XMP.format(attributes="", elements=""), None),
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif", ".png", ".tif"])
def test_ratings_are_whole_stars(tmp_path: Path, suffix: str, xmp: str, rating: int | None) -> None:
    assert read_bytes(tmp_path, saved_with(suffix, xmp_data=xmp.encode())).rating == rating


def test_windows_keeps_a_rating_in_exif(tmp_path: Path) -> None:
    block = exif({0x4746: b"\0\3\0\0"}, kind=3)
    one = block.replace(b"\x47\x46\0\3\0\0\0\4", b"\x47\x46\0\3\0\0\0\1")
    assert read_bytes(tmp_path, jpeg_exif(one)).rating == 3


def test_words_of_a_file_without_parameters_are_for_the_search(tmp_path: Path) -> None:
    words = (
        "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>Fish &amp; chips</rdf:li></rdf:Alt></dc:description>"
        "<dc:subject><rdf:Bag><rdf:li>harbor</rdf:li><rdf:li>dusk</rdf:li></rdf:Bag></dc:subject>"
    )
    xmp = XMP.format(attributes="", elements=words).encode()
    found = read_bytes(tmp_path, jpeg_with(jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)))
    assert found == Found(text="Fish & chips\nharbor\ndusk")
    found = read_bytes(tmp_path, png_texts({"Title": "My\0 harbor", "Software": "Krita", "Comment": "at dusk"}))
    assert found == Found(text="My harbor\nat dusk")


def test_a_graph_in_which_no_prompt_is_found_is_searched_by_all_its_texts(tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "SomebodysGenerator", "inputs": {"words": "a harbor at dusk", "mode": "fast", "seed": 7}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "again": "a harbor at dusk"}},
    }
    found = read_bytes(tmp_path, png_texts({"prompt": msgspec.json.encode(graph).decode()}))
    assert found == Found(text="a harbor at dusk")


def test_no_entity_of_xmp_is_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + XMP.format(
        attributes='xmp:Rating="2"', elements="<dc:title>&b;<!-- --></dc:title>"
    )
    found = read_bytes(tmp_path, png_with(wide_chunk("XML:com.adobe.xmp", bomb.encode())))
    assert (found.rating, found.text) == (2, "&b;")


def test_of_two_megabytes_of_text_the_first_64_kb_are_searched_and_nothing_else_is_kept(tmp_path: Path) -> None:
    found = read_bytes(tmp_path, png_texts({"parameters": "x" * 2_000_000}))
    assert found == Found(text="x" * 65536)
    found = read_bytes(tmp_path, png_texts({"parameters": "灯" * 1_000_000 + "\nSteps: 20, Seed: 5, Size: 96x64"}))
    assert found == Found(text="灯" * 21845)


def test_text_that_inflates_without_end_is_read_no_further_than_what_is_searched(tmp_path: Path) -> None:
    bomb = zlib.compress(b"a" * 60_000_000)
    for content in (
        png_with(chunk(b"zTXt", b"parameters\0\0" + bomb)),
        png_with(chunk(b"iTXt", b"parameters\0\1\0\0\0" + bomb)),
    ):
        assert read_bytes(tmp_path, content) == Found(text="a" * 65536)


def hidden(text: bytes, mark: bytes, width: int = 96, height: int = 64, **options: Any) -> bytes:
    """A picture whose alpha has it in its lowest bits, column after column."""
    stored = gzip.compress(text) if mark.endswith(b"comp") else text
    bits = np.unpackbits(np.frombuffer(mark + (8 * len(stored)).to_bytes(4) + stored, np.uint8))
    pixels = np.full((height, width, 4), 254, np.uint8)
    alpha = np.full(width * height, 254, np.uint8)
    alpha[: len(bits)] |= bits[: width * height]
    pixels[..., 3] = alpha.reshape(width, height).T
    content: bytes = pyvips.Image.new_from_array(pixels, interpretation="srgb").write_to_buffer(".png", **options)
    return content


@pytest.mark.parametrize(("width", "height"), [(96, 64), (30, 200), (600, 7)])
def test_what_novelai_hides_in_the_alpha_channel_is_read(tmp_path: Path, width: int, height: int) -> None:
    table = {
        "Software": "NovelAI",
        "Source": "NovelAI Diffusion V4 37442FCA",
        "Comment": '{"prompt": "1girl", "seed": 7}',
    }
    content = hidden(msgspec.json.encode(table), b"stealth_pngcomp", width, height)
    found = read_bytes(tmp_path, content)
    assert found.parameters is not None
    assert (found.written_by, found.parameters.prompt, found.parameters.seed) == ("novelai", "1girl", 7)


@pytest.mark.parametrize("mark", [b"stealth_pnginfo", b"stealth_pngcomp"])
def test_what_extensions_of_automatic1111_hide_is_read(tmp_path: Path, mark: bytes) -> None:
    found = read_bytes(tmp_path, hidden(A1111.encode(), mark))
    assert found.parameters is not None
    assert (found.written_by, found.parameters.prompt) == ("automatic1111", "a lighthouse, 灯台 🌅")


def test_other_alpha_hides_nothing(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, hidden(A1111.encode(), b"stealth_unknown")) == Found()
    assert read_bytes(tmp_path, hidden(A1111.encode(), b"stealth_pngcomp", interlace=True)) == Found()
    assert read_bytes(tmp_path, hidden(b"", b"", 1, 1)) == Found()
    whole = hidden(A1111.encode(), b"stealth_pngcomp")
    assert read_bytes(tmp_path, whole[: len(whole) // 3]) == Found(), "a cut file"
    bomb = read_bytes(tmp_path, hidden(b"a" * 40_000_000, b"stealth_pngcomp", 1000, 400))
    assert bomb == Found(text="a" * 65536)


def test_a_picture_without_words_tells_nothing(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, png_texts({})) == Found()
    assert read_bytes(tmp_path, b"") == Found()


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.png")

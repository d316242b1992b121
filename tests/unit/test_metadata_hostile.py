"""Files that were made to be read wrongly, slowly or without end: reading never fails, and is bounded."""

from __future__ import annotations

import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.demo.png import chunk
from service.media.metadata.automatic1111 import read_automatic1111, split
from service.media.metadata.comfyui import read_comfyui
from service.media.metadata.containers import read_texts
from service.media.metadata.fooocus import read_fooocus
from service.media.metadata.invokeai import read_invokeai
from service.media.metadata.novelai import read_novelai
from service.media.metadata.read import Found, found_in, read
from service.media.metadata.texts import MAX_ALL, Texts
from service.media.png import SIGNATURE
from tests.fakes.batches import edge
from tests.fakes.picture_texts import (
    UPLOADS,
    compressed_chunk,
    exif,
    gif_with,
    jpeg_exif,
    png_with,
    read_bytes,
    saved_with,
    text_chunk,
    tiff_with,
    user_comment,
    webp_with,
)

WORDS = "a cat <lora:ink:0.5>\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, Seed: 5, Size: 96x64"
XMP = b'<x:xmpmeta><rdf:Description xmp:Rating="4"><dc:title>a cat</dc:title></rdf:Description></x:xmpmeta>'
FILES = [
    (UPLOADS / "meta-a1111.png").read_bytes(),
    (UPLOADS / "meta-comfy.png").read_bytes(),
    (UPLOADS / "meta-invokeai-v2-sdmetadata.png").read_bytes(),
    (UPLOADS / "meta-novelai.png").read_bytes(),
    png_with(compressed_chunk("parameters", WORDS.encode()), chunk(b"eXIf", user_comment(WORDS))),
    jpeg_exif(user_comment(WORDS)),
    webp_with(EXIF=user_comment(WORDS, order="<"), XMP=XMP),
    saved_with(".avif", exif_data=b"Exif\0\0" + user_comment(WORDS), xmp_data=XMP),
    tiff_with(WORDS),
    gif_with(WORDS),
]
quick = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def whole(folder: Path, content: bytes) -> Found:
    """As `read`, but what fails is not caught."""
    file = folder / "upload"
    file.write_bytes(content)
    return found_in(read_texts(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@quick
@given(
    content=st.sampled_from(FILES), edits=st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=8)), max_size=6)
)
def test_files_with_other_bytes_here_and_there(folder: Path, content: bytes, edits: list[tuple[int, bytes]]) -> None:
    changed = bytearray(content)
    for at, written in edits:
        changed[at % len(changed) : at % len(changed) + len(written)] = written
    whole(folder, bytes(changed))


@quick
@given(content=st.sampled_from(FILES), cut=st.integers(0, 4000), behind=st.binary(max_size=30))
def test_files_that_are_cut(folder: Path, content: bytes, cut: int, behind: bytes) -> None:
    whole(folder, content[: cut % len(content)] + behind)


HEADS = [SIGNATURE, b"\xff\xd8\xff\xe1", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"II*\0", b"MM\0*", b"\0\0\0\x18ftypavif"]


@quick
@given(head=st.sampled_from(HEADS), behind=st.binary(max_size=400))
def test_random_bytes_behind_the_beginning_of_each_kind_of_file(folder: Path, head: bytes, behind: bytes) -> None:
    whole(folder, head + behind)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["6", "3", "0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
READERS = [read_invokeai, read_automatic1111, read_comfyui, read_fooocus, read_novelai]
NAMES = [
    "parameters", "prompt", "workflow", "Comment", "Description", "Software", "Source", "Dream", "sd-metadata",
    "invokeai_metadata", "invokeai_graph", "invokeai_workflow", "UserComment", "comment", "fooocus_scheme",
]  # fmt: skip
KEYS = [
    "prompt", "Prompt", "base_model", "loras", "seed", "steps", "resolution", "sampler", "styles", "uc", "v4_prompt",
    "image", "images", "model_weights", "nodes", "links", "id", "type", "inputs", "widgets_values", "class_type", "3",
    "6", "positive", "negative", "model", "guider", "text", "Comment", "caption", "char_captions", "edges", "source",
]  # fmt: skip
tables = st.recursive(
    json_values,
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=6) | st.lists(inner, max_size=3),
    max_leaves=30,
)
words = st.text(max_size=60) | st.sampled_from([WORDS, '"a cat" -s 5', "NovelAI"]) | tables.map(
    lambda value: msgspec.json.encode(value).decode()
)  # fmt: skip


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(NAMES), words, max_size=5))
def test_no_text_of_any_name_is_an_error(texts: dict[str, str]) -> None:
    for reader in READERS:
        reader(texts)
    inside = Texts()
    for name, text in texts.items():
        inside.add(name, text)
    found = found_in(inside)
    if found.parameters is not None:
        assert "\\u0000" not in (found.parameters.metadata or "").replace("\\\\", "")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"a":' * 200_000,
        "{" + '"a":[1,' * 140_000,
        "<lora:" * 170_000,
        "<lora:" + "a" * 1_000_000,
        "a" * 1_000_000,
        "a:" * 500_000,
        "Steps: 1, Sampler: x, Seed: 1, " + 'k:"' * 330_000,
        "Steps: 1, Sampler: x, Seed: 1, " + 'k:{"a":[1,' * 9_000,
        "Steps: 1, " * 100_000,
        "Steps: 1\n" * 110_000,
        "Negative prompt:\n" * 60_000,
        '"' * 1_000_000,
        '"a" ' + "-s" * 500_000,
        "[a" * 500_000,
        "(" + "1" * 1_000_000,
        "NovelAI " * 130_000,
        "9" * 1_000_000,
        '{"seed": ' + "9" * 1_000_000 + "}",
        "\\" * 1_000_000,
        "\ud800" * 300_000,
        "\0" * 1_000_000,
    ],
)
def test_a_megabyte_that_was_made_to_be_read_slowly(text: str) -> None:
    """Each takes some tenths of a second at most; what grows with the square of its length takes hours, and fails by
    the test's own time limit."""
    inside = Texts()
    for name in NAMES:
        inside.add(name, text)
    found_in(inside)


@pytest.mark.parametrize("attribute", ["xmp:Rating=", "<dc:title>", "<", "xmp:Rating" + " " * 50, "&lt;" * 5, "<!--"])
def test_a_megabyte_of_xmp(tmp_path: Path, attribute: str) -> None:
    xmp = (attribute * (1_000_000 // len(attribute))).encode()
    whole(tmp_path, png_with(text_chunk("XML:com.adobe.xmp", xmp.decode())))


def numbered(text: bytes) -> bytes:
    return png_with(*(chunk(b"zTXt", b"t%d" % number + text) for number in range(2_000)))


def walks() -> dict[str, Callable[[], bytes]]:
    text = compressed_chunk("text", b"x" * 5_000_000)[8:-4].removeprefix(b"text")
    nothing = compressed_chunk("text", bytes(5_000_000))[8:-4].removeprefix(b"text")
    many = exif(dict.fromkeys(range(0x9000, 0x9000 + 3000), b"x" * 40))
    # 490 entries of one name, which all lie at one place.
    entry = struct.pack(">HHII", 0x010F, 2, 4_000_000, 8 + 2 + 12 * 490 + 4)
    same = b"MM\0*" + struct.pack(">IH", 8, 490) + entry * 490 + bytes(4) + b"prompt:{" + b" " * 4_000_000
    item = struct.pack(">HHHHII", 1, 0, 0, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    places = struct.pack(">I4s4sBBH", 16 + len(item) * 50_000, b"iloc", bytes(4), 0x44, 0, 50_000) + item * 50_000
    meta = struct.pack(">I4sI", 12 + len(places), b"meta", 0) + places
    return {
        "empty chunks": lambda: SIGNATURE + b"\0\0\0\0abcd\0\0\0\0" * 2_000_000,
        "texts": lambda: SIGNATURE + b"".join(text_chunk(f"t{i}", "x" * 20) for i in range(50_000)),
        "texts that inflate": lambda: png_with(*(chunk(b"zTXt", b"t%d" % i + text) for i in range(2_000))),
        "texts that inflate to nothing": lambda: png_with(
            *(chunk(b"zTXt", b"t%d" % i + nothing) for i in range(2_000))
        ),
        "XMP that inflates": lambda: png_with(
            *([chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<" * 5_000_000))] * 2_000)
        ),
        "Exif again and again": lambda: png_with(*([chunk(b"eXIf", many)] * 200)),
        "one text again and again": lambda: same,
        "segments": lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 2_000_000,
        "fill bytes": lambda: b"\xff\xd8" + b"\xff" * 5_000_000,
        "chunks of a WebP": lambda: b"RIFF\0\0\0\0WEBP" + b"abcd\0\0\0\0" * 2_000_000,
        "blocks of a GIF": lambda: b"GIF89a" + bytes(7) + b"," + bytes(9) + b"\1" * 5_000_000,
        "comments of a GIF": lambda: b"GIF89a" + bytes(7) + b"!\xfe\1a\0" * 2_000_000,
        "entries": lambda: many,
        "boxes": lambda: b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * 2_000_000,
        "places": lambda: b"\0\0\0\x18ftypavif" + bytes(12) + meta,
    }


WALKS = walks()


@pytest.mark.parametrize("name", WALKS)
def test_files_of_millions_of_parts_are_walked_up_to_a_number(tmp_path: Path, name: str) -> None:
    file = tmp_path / "upload"
    file.write_bytes(WALKS[name]())
    texts = read_texts(file)
    assert sum(map(len, texts.named.values())) <= MAX_ALL
    found_in(texts)


def test_memory_stays_small_whatever_inflates(tmp_path: Path) -> None:
    text = compressed_chunk("t0", b"[{}," * 5_000_000)
    bomb = png_with(*(text.replace(b"t0", b"t%d" % i) for i in range(9)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read_bytes(tmp_path, bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "KiB"


def test_graphs_of_invokeai_in_which_every_node_leads_to_every_other() -> None:
    """What is looked for from each of two thousand nodes is looked for among some of them only."""
    fields = ("steps", "cfg_scale", "scheduler", "seed", "positive_conditioning", "negative_conditioning")
    nodes = {f"c{i}": {"type": "integer", "value": 1, "image": {"image_name": f"{i}.png"}} for i in range(1_000)}
    nodes |= {f"e{i}": {"type": "denoise_latents"} for i in range(1_000)}
    edges = [edge(f"c{i}", "value", f"c{i + 1}", "value") for i in range(999)]
    edges += [edge("c999", "value", f"e{i}", field) for i in range(1_000) for field in fields]
    graph = msgspec.json.encode({"nodes": nodes, "edges": edges}).decode()
    found = read_invokeai({"invokeai_graph": graph})
    assert len(found.sources) == 200


def test_settings_with_endless_values_are_read_up_to_a_number() -> None:
    line = "Steps: 1, Sampler: Euler, Seed: 5, " + ", ".join(f"k{i}: v" for i in range(8_000))
    assert len(split(f"a cat\n{line}").settings) == 300


def test_what_fails_though_it_should_not_costs_only_the_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(texts: Texts) -> Found:
        raise LookupError(texts)

    monkeypatch.setattr("service.media.metadata.read.found_in", fails)
    file = tmp_path / "upload.png"
    file.write_bytes((UPLOADS / "meta-xmp-rating.png").read_bytes())
    assert read(file) == Found(rating=4)

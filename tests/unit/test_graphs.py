"""The bodies posted to InvokeAI: wired as its own UI wires them, and nothing in them that would stop its queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.errors import ValidationError
from service.invokeai.graphs import SCHEDULERS, SUPPORTED_BASES, Lora, ModelRef, Source, build, defaults
from service.invokeai.graphs.graph import Graph


def model(base: str, kind: str = "main", name: str = "m") -> ModelRef:
    return ModelRef(f"key-{name}", "blake3:00", name, base, kind)


def body(base: str = "sd-1", **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "prompt": "a lighthouse",
        "negative_prompt": "blurry",
        "width": 64,
        "height": 72,
        "steps": 4,
        "cfg_scale": 7.5,
        "scheduler": "euler",
        "seeds": [5, 6, 7],
        "batch_id": "batch-1",
        "step_id": "step-1",
    }
    return build(model(base), **(request | changes))


def edges(posted: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """Sources by destination: (node type, field) → [source type.field]."""
    graph = posted["batch"]["graph"]
    kinds = {node_id: node["type"] for node_id, node in graph["nodes"].items()}
    found: dict[tuple[str, str], list[str]] = {}
    for edge in graph["edges"]:
        source, to = edge["source"], edge["destination"]
        found.setdefault((kinds[to["node_id"]], to["field"]), []).append(
            f"{kinds[source['node_id']]}.{source['field']}"
        )
    return found


def nodes(posted: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [node for node in posted["batch"]["graph"]["nodes"].values() if node["type"] == kind]


@pytest.mark.parametrize("base", sorted(SUPPORTED_BASES))
def test_the_batch_says_whose_it_is_and_puts_each_seed_into_an_item(base: str) -> None:
    posted = body(base)
    batch = posted["batch"]
    assert posted["prepend"] is False
    assert (batch["origin"], batch["destination"], batch["batch_id"]) == ("darkroom", "step:step-1", "batch-1")
    assert batch["data"] == [[{"node_path": "seed", "field_name": "value", "items": [5, 6, 7]}]]
    assert batch["runs"] == 1
    assert nodes(posted, "integer")[0]["id"] == "seed"
    assert json.loads(json.dumps(posted)) == posted


@pytest.mark.parametrize("base", sorted(SUPPORTED_BASES))
def test_only_the_output_is_final_and_uncached(base: str) -> None:
    posted = body(base, loras=[Lora(model(base, "lora"))], vae=model(base, "vae"))
    for node in posted["batch"]["graph"]["nodes"].values():
        final = node["type"] == "l2i"
        assert node["is_intermediate"] is not final
        assert node["use_cache"] is not final
    assert nodes(posted, "l2i")[0]["fp32"] is True


@pytest.mark.parametrize("base", sorted(SUPPORTED_BASES))
def test_the_metadata_has_what_recall_reads_and_names_the_batch(base: str) -> None:
    posted = body(base)
    (metadata,) = nodes(posted, "core_metadata")
    assert metadata["darkroom_batch"] == "batch-1"
    assert metadata["generation_mode"] == ("sdxl_txt2img" if base == "sdxl" else "txt2img")
    assert metadata["model"] == {"key": "key-m", "hash": "blake3:00", "name": "m", "base": base, "type": "main"}
    assert (metadata["width"], metadata["height"], metadata["steps"]) == (64, 72, 4)
    assert (metadata["cfg_scale"], metadata["scheduler"]) == (7.5, "euler")
    assert ("clip_skip" in metadata) is (base != "sdxl")
    assert "loras" not in metadata
    wires = edges(posted)
    assert wires["core_metadata", "seed"] == ["integer.value"]
    assert wires["core_metadata", "positive_prompt"] == wires["core_metadata", "negative_prompt"] == ["string.value"]
    assert wires["l2i", "metadata"] == ["core_metadata.metadata"]


@pytest.mark.parametrize("base", sorted(SUPPORTED_BASES))
def test_prompts_go_to_their_own_side(base: str) -> None:
    graph = body(base)["batch"]["graph"]
    assert graph["nodes"]["positive_prompt"]["value"] == "a lighthouse"
    assert graph["nodes"]["negative_prompt"]["value"] == "blurry"
    pairs = {(e["source"]["node_id"], e["destination"]["node_id"], e["destination"]["field"]) for e in graph["edges"]}
    assert ("positive_prompt", "positive", "prompt") in pairs
    assert ("negative_prompt", "negative", "prompt") in pairs
    assert ("positive", "denoise", "positive_conditioning") in pairs
    assert ("negative", "denoise", "negative_conditioning") in pairs


@pytest.mark.parametrize("base", sorted(SUPPORTED_BASES))
def test_the_seed_reaches_the_noise_and_the_size_its_latents(base: str) -> None:
    posted = body(base)
    (noise,) = nodes(posted, "noise")
    assert (noise["width"], noise["height"], noise["use_cpu"]) == (64, 72, True)
    wires = edges(posted)
    assert wires["noise", "seed"] == ["integer.value"]
    assert wires["denoise_latents", "noise"] == ["noise.noise"]
    assert wires["l2i", "latents"] == ["denoise_latents.latents"]


def test_sd1_goes_through_clip_skip() -> None:
    wires = edges(body("sd-1"))
    assert wires["clip_skip", "clip"] == ["main_model_loader.clip"]
    assert wires["compel", "clip"] == ["clip_skip.clip"] * 2
    assert wires["denoise_latents", "unet"] == ["main_model_loader.unet"]
    assert wires["l2i", "vae"] == ["main_model_loader.vae"]


def test_sdxl_feeds_both_encoders_and_the_prompt_as_style() -> None:
    wires = edges(body("sdxl"))
    assert wires["sdxl_compel_prompt", "clip"] == ["sdxl_model_loader.clip"] * 2
    assert wires["sdxl_compel_prompt", "clip2"] == ["sdxl_model_loader.clip2"] * 2
    assert wires["sdxl_compel_prompt", "style"] == wires["sdxl_compel_prompt", "prompt"] == ["string.value"] * 2


def test_a_vae_of_ones_own_replaces_the_models() -> None:
    posted = body("sdxl", vae=model("sdxl", "vae", "v"))
    assert edges(posted)["l2i", "vae"] == ["vae_loader.vae"]
    assert nodes(posted, "vae_loader")[0]["vae_model"]["key"] == "key-v"
    assert nodes(posted, "core_metadata")[0]["vae"]["name"] == "v"


@pytest.mark.parametrize(
    ("base", "loader", "fields"),
    [
        ("sd-1", "lora_collection_loader", {"unet": "main_model_loader.unet", "clip": "clip_skip.clip"}),
        (
            "sdxl",
            "sdxl_lora_collection_loader",
            {"unet": "sdxl_model_loader.unet", "clip": "sdxl_model_loader.clip", "clip2": "sdxl_model_loader.clip2"},
        ),
    ],
)
def test_loras_stand_between_the_model_and_everything_else(base: str, loader: str, fields: dict[str, str]) -> None:
    loras = [Lora(model(base, "lora", "a"), 0.5), Lora(model(base, "lora", "b"))]
    posted = body(base, loras=loras)
    wires = edges(posted)
    assert {field: wires[loader, field] for field in fields} == {field: [source] for field, source in fields.items()}
    assert wires["collect", "item"] == ["lora_selector.lora"] * 2
    assert wires[loader, "loras"] == ["collect.collection"]
    assert wires["denoise_latents", "unet"] == [f"{loader}.unet"]
    encoder = "sdxl_compel_prompt" if base == "sdxl" else "compel"
    assert wires[encoder, "clip"] == [f"{loader}.clip"] * 2
    assert [(node["lora"]["key"], node["weight"]) for node in nodes(posted, "lora_selector")] == [
        ("key-a", 0.5),
        ("key-b", 0.75),
    ]
    written = nodes(posted, "core_metadata")[0]["loras"]
    assert [(lora["model"]["name"], lora["weight"]) for lora in written] == [("a", 0.5), ("b", 0.75)]


@pytest.mark.parametrize("base", sorted(SUPPORTED_BASES))
def test_no_field_has_two_edges_and_every_edge_has_its_nodes(base: str) -> None:
    graph = body(base, loras=[Lora(model(base, "lora"))], vae=model(base, "vae"))["batch"]["graph"]
    taken: set[tuple[str, str]] = set()
    for edge in graph["edges"]:
        assert edge["source"]["node_id"] in graph["nodes"]
        to = (edge["destination"]["node_id"], edge["destination"]["field"])
        assert to not in taken
        taken.add(to)
    assert all(node_id == node["id"] for node_id, node in graph["nodes"].items())


@pytest.mark.parametrize("seeds", [[], ["5"], [5.0], [True], [None], [-1], [2**32], [1, "2"]], ids=repr)
def test_a_seed_of_the_wrong_type_never_leaves(seeds: list[Any]) -> None:
    with pytest.raises(ValidationError, match="seeds"):
        body(seeds=seeds)


def test_the_whole_range_of_seeds_is_taken() -> None:
    assert body(seeds=[0, 2**32 - 1])["batch"]["data"][0][0]["items"] == [0, 2**32 - 1]


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"width": 65}, "width"),
        ({"height": 0}, "height"),
        ({"height": "64"}, "height"),
        ({"width": 64.0}, "width"),
        ({"steps": 0}, "steps"),
        ({"steps": True}, "steps"),
        ({"cfg_scale": "7"}, "cfg_scale"),
        ({"cfg_scale": float("nan")}, "cfg_scale"),
        ({"prompt": None}, "prompt"),
        ({"negative_prompt": 3}, "negative_prompt"),
        ({"scheduler": "imaginary"}, "scheduler"),
        ({"loras": [Lora(model("sdxl", "lora", "big"))]}, "big"),
        ({"vae": model("sdxl", "vae", "other")}, "other"),
    ],
)
def test_what_invokeai_would_choke_on_is_refused_with_its_name(changes: dict[str, Any], about: str) -> None:
    with pytest.raises(ValidationError, match=about):
        body("sd-1", **changes)


def test_a_base_without_a_builder_is_refused() -> None:
    with pytest.raises(ValidationError, match="flux"):
        body("flux")
    with pytest.raises(ValidationError, match="flux"):
        defaults("flux")


@pytest.mark.parametrize("base", sorted(SUPPORTED_BASES))
def test_the_defaults_of_a_base_make_a_valid_batch(base: str) -> None:
    of_base = defaults(base)
    posted = body(
        base,
        width=of_base.width,
        height=of_base.height,
        steps=of_base.steps,
        cfg_scale=of_base.cfg_scale,
        scheduler=of_base.scheduler,
    )
    assert nodes(posted, "denoise_latents")[0]["scheduler"] in SCHEDULERS


def test_a_second_edge_into_a_field_is_an_error() -> None:
    graph = Graph("g")
    graph.add("a", "integer")
    graph.add("b", "noise")
    graph.connect("a.value", "b.seed")
    with pytest.raises(ValueError, match=r"b\.seed"):
        graph.connect("a.value", "b.seed")


def test_an_edge_from_nowhere_is_an_error() -> None:
    graph = Graph("g")
    graph.add("b", "noise")
    with pytest.raises(ValueError, match=r"a\.value"):
        graph.connect("a.value", "b.seed")


def source(width: int, height: int, strength: float = 0.75) -> Source:
    return Source("source.png", width, height, strength)


@pytest.mark.parametrize("base", sorted(SUPPORTED_BASES))
def test_a_source_is_encoded_and_denoised_as_far_as_its_strength_says(base: str) -> None:
    posted = body(base, source=source(64, 72, 0.9), vae=model(base, "vae"))
    wires = edges(posted)
    assert wires["denoise_latents", "latents"] == ["i2l.latents"]
    assert wires["denoise_latents", "noise"] == ["noise.noise"]
    assert wires["i2l", "vae"] == ["vae_loader.vae"]
    assert nodes(posted, "denoise_latents")[0]["denoising_start"] == 0.1
    (encode,) = nodes(posted, "i2l")
    assert (encode["image"], encode["fp32"]) == ({"image_name": "source.png"}, True)
    assert nodes(posted, "img_crop") == nodes(posted, "img_resize") == nodes(posted, "image") == []
    (metadata,) = nodes(posted, "core_metadata")
    assert (metadata["strength"], metadata["init_image"]) == (0.9, "source.png")
    assert metadata["generation_mode"] == ("sdxl_img2img" if base == "sdxl" else "img2img")
    assert edges(body(base, source=source(64, 72)))["i2l", "vae"][0].endswith("model_loader.vae")


@pytest.mark.parametrize(
    ("size", "crop", "resize"),
    [
        ((64, 72), None, None),
        ((128, 144), None, (64, 72)),
        ((129, 144), None, (64, 72)),  # by a rounding
        ((640, 480), (106, 0, 427, 480), (64, 72)),
        ((64, 100), (0, 14, 64, 72), None),
        ((32, 200), (0, 82, 32, 36), (64, 72)),
        ((1, 1), None, (64, 72)),
        ((20000, 1), (9999, 0, 1, 1), (64, 72)),
    ],
)
def test_a_source_of_another_shape_is_cropped_around_its_middle_and_nothing_is_stretched(
    size: tuple[int, int], crop: tuple[int, ...] | None, resize: tuple[int, int] | None
) -> None:
    posted = body(source=source(*size))
    crops = [(node["x"], node["y"], node["width"], node["height"]) for node in nodes(posted, "img_crop")]
    resizes = [(node["width"], node["height"]) for node in nodes(posted, "img_resize")]
    assert (crops, resizes) == ([crop] if crop else [], [resize] if resize else [])
    [first] = [node for node in posted["batch"]["graph"]["nodes"].values() if node.get("image")]
    assert first["type"] == ("img_crop" if crop else "img_resize" if resize else "i2l")
    before = "img_resize" if resize else "img_crop"
    if first["type"] != "i2l":
        assert edges(posted)["i2l", "image"] == [f"{before}.image"]
    assert all(node["is_intermediate"] for node in nodes(posted, "img_crop") + nodes(posted, "img_resize"))


@pytest.mark.parametrize("wrong", [source(0, 8), source(8, 8, 1.1), source(8, 8, -0.1), source(8, 8, float("nan"))])
def test_a_source_that_would_fail_is_not_sent(wrong: Source) -> None:
    with pytest.raises(ValidationError, match="source"):
        body(source=wrong)

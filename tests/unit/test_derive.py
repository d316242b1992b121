"""What is known of an image from its file alone: core metadata, else the graph, else the workflow; and its sources."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.media.metadata.parameters import GenerationParameters
from service.media.metadata.source_images import SourceImage
from service.media.png import Png
from service.photos.derive import Derived, derive
from tests.fakes.batches import edge, sdxl_text_to_image, text_to_image

Json = dict[str, Any]
MODEL = {"key": "k", "hash": "blake3:h", "name": "tiny", "base": "sd-1", "type": "main"}
LORA = {"key": "l", "hash": "blake3:l", "name": "ink", "base": "sdxl", "type": "lora"}
NAME = "own.png"


def of(*, metadata: Any = None, graph: Any = None, workflow: Any = None, served: Json | None = None) -> Derived:
    texts = (None if text is None else msgspec.json.encode(text).decode() for text in (metadata, graph, workflow))
    return derive(NAME, Png(64, 64, *texts), None if served is None else msgspec.json.encode(served))


def known(derived: Derived) -> GenerationParameters:
    assert derived.parameters is not None
    return derived.parameters


def plain(graph: Json) -> Json:
    """Without its metadata node, as a workflow has none."""
    nodes = {id: node for id, node in graph["nodes"].items() if node["type"] != "core_metadata"}
    edges = [e for e in graph["edges"] if "core_metadata" not in (e["source"]["node_id"], e["destination"]["node_id"])]
    return {**graph, "nodes": nodes, "edges": edges}


def as_workflow(graph: Json) -> Json:
    """The same, as InvokeAI's workflow editor saves it."""
    nodes = []
    for id, node in graph["nodes"].items():
        inputs = {name: {"name": name, "label": "", "value": value} for name, value in node.items()}
        is_intermediate = inputs.pop("is_intermediate")["value"]
        data = {"id": id, "type": node["type"], "inputs": inputs, "isIntermediate": is_intermediate}
        nodes.append({"id": id, "type": "invocation", "data": data, "position": {"x": 0, "y": 0}})
    nodes.append({"id": "note", "type": "notes", "data": {"id": "note", "type": "notes", "notes": "mine"}})
    edges = [
        {
            "id": str(number),
            "type": "default",
            "source": e["source"]["node_id"],
            "sourceHandle": e["source"]["field"],
            "target": e["destination"]["node_id"],
            "targetHandle": e["destination"]["field"],
        }
        for number, e in enumerate(graph["edges"])
    ]
    return {"name": "mine", "nodes": nodes, "edges": [*edges, {"id": "c", "type": "collapsed", "source": "seed"}]}


FLUX: Json = {
    "nodes": {
        "seed": {"type": "integer", "value": 7},
        "prompt": {"type": "string", "value": "a lighthouse at dusk"},
        "loader": {"type": "flux_model_loader", "model": MODEL | {"base": "flux"}, "vae_model": LORA},
        "positive": {"type": "flux_text_encoder"},
        "denoise": {"type": "flux_denoise", "num_steps": 4, "guidance": 3.5, "scheduler": "euler", "seed": 0},
        "output": {"type": "flux_vae_decode", "is_intermediate": False},
    },
    "edges": [
        edge("prompt", "value", "positive", "prompt"),
        edge("positive", "conditioning", "denoise", "positive_text_conditioning"),
        edge("seed", "value", "denoise", "seed"),
        edge("loader", "transformer", "denoise", "transformer"),
        edge("denoise", "latents", "output", "latents"),
    ],
}
EXTERNAL: Json = {
    "nodes": {
        "prompt": {"type": "string", "value": "a lighthouse at dusk"},
        "output": {"type": "gemini_image_generation", "model": MODEL, "seed": 7, "is_intermediate": False},
    },
    "edges": [edge("prompt", "value", "output", "prompt")],
}


@pytest.mark.parametrize("graph", [text_to_image(MODEL, seed=7), sdxl_text_to_image(MODEL, seed=7), FLUX, EXTERNAL])
@pytest.mark.parametrize("kept_in", ["graph", "workflow"])
def test_prompt_seed_and_model_are_read_from_a_graph_without_metadata(graph: Json, kept_in: str) -> None:
    graph = plain(graph)
    graph["nodes"] = {id: {"is_intermediate": True} | node for id, node in graph["nodes"].items()}
    derived = of(graph=graph) if kept_in == "graph" else of(workflow=as_workflow(graph))
    found = known(derived)
    assert (found.prompt, found.seed) == ("a lighthouse at dusk", 7)
    assert (found.model_key, found.model_name) == ("k", "tiny")
    assert msgspec.json.decode(found.metadata or "")["taken_from"] == kept_in
    assert derived.sources == []


def test_negative_prompt_settings_and_loras_are_read_too() -> None:
    found = known(of(graph=plain(sdxl_text_to_image(MODEL, lora=LORA, weight=0.5))))
    assert (found.negative_prompt, found.loras) == ("blurry", ["ink", "l"])
    metadata = msgspec.json.decode(found.metadata or "")
    assert (metadata["steps"], metadata["cfg_scale"], metadata["scheduler"]) == (4, 7, "euler")
    assert metadata["loras"] == [{"model": LORA, "weight": 0.5}]
    assert metadata["model"] == MODEL


def test_loras_one_after_the_other_and_the_conditioning_through_a_collector() -> None:
    graph = plain(text_to_image(MODEL))
    graph["nodes"]["one"] = {"type": "lora_loader", "lora": LORA | {"name": "one"}, "weight": 1}
    graph["nodes"]["two"] = {"type": "lora_loader", "lora": LORA | {"name": "two"}, "weight": 1}
    graph["nodes"]["collect"] = {"type": "collect"}
    for each in graph["edges"]:
        if each["destination"] == {"node_id": "denoise", "field": "unet"}:
            each["source"]["node_id"] = "two"
        if each["source"]["node_id"] == "pos_cond":
            each["source"] = {"node_id": "collect", "field": "collection"}
    graph["edges"] += [
        edge("one", "unet", "two", "unet"),
        edge("model_loader", "unet", "one", "unet"),
        edge("pos_cond", "conditioning", "collect", "item"),
    ]
    found = known(of(graph=graph))
    assert (found.loras, found.model_key) == (["two", "l", "one"], "k")
    assert found.prompt == "a lighthouse at dusk"


def test_what_a_graph_alone_cannot_tell_is_left_out() -> None:
    graph = plain(text_to_image(MODEL))
    graph["nodes"]["seed"] = {"type": "rand_int", "low": 0, "high": 9}
    graph["nodes"]["positive_prompt"] = {"type": "string_join", "string_left": "a", "string_right": "b"}
    found = known(of(graph=graph))
    assert (found.prompt, found.seed, found.negative_prompt, found.model_key) == (None, None, "blurry", "k")


def test_of_two_results_what_they_do_not_share_is_left_out() -> None:
    graph, other = plain(text_to_image(MODEL, seed=1)), plain(text_to_image(MODEL, seed=2))
    graph["nodes"] |= {f"other_{id}": node for id, node in other["nodes"].items()}
    graph["edges"] += [
        edge(f"other_{e['source']['node_id']}", e["source"]["field"],
             f"other_{e['destination']['node_id']}", e["destination"]["field"])
        for e in other["edges"]
    ]  # fmt: skip
    found = known(of(graph=graph))
    assert (found.prompt, found.seed, found.model_key) == ("a lighthouse at dusk", None, "k")


def test_core_metadata_come_first_and_the_graph_fills_what_they_lack() -> None:
    graph = text_to_image(MODEL, seed=7)
    inside = of(metadata={"positive_prompt": "theirs", "seed": 3}, graph=graph)
    assert (known(inside).prompt, known(inside).seed, known(inside).model_key) == ("theirs", 3, "k")
    assert msgspec.json.decode(known(inside).metadata or "") == {"positive_prompt": "theirs", "seed": 3}
    served = of(metadata={"positive_prompt": "theirs"}, served={"positive_prompt": "served"})
    assert known(served).prompt == "served"


def test_nothing_inside_is_nothing_known() -> None:
    assert of() == Derived(None, [], (64, 64))
    assert derive(NAME, None) == Derived(None, [], None)


# --- Sources ---


def roles(derived: Derived) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for source in derived.sources:
        found.setdefault(source.image_name, set()).add(source.role)
    return found


def test_images_in_a_graph_are_named_with_their_roles() -> None:
    def image(name: str) -> Json:
        return {"image": {"image_name": name}}

    graph = {
        "nodes": {
            "source": {"type": "i2l", **image("init.png")},
            "photo": {"type": "image", **image("resized.png")},
            "resize": {"type": "img_resize", "width": 64},
            "encode": {"type": "flux_vae_encode"},
            "controlnet": {"type": "controlnet", **image("control.png")},
            "ip": {"type": "ip_adapter", "image": [{"image_name": "style.png"}]},
            "kontext": {"type": "flux_kontext", **image("kontext.png")},
            "mask": {"type": "create_gradient_mask", "mask": {"image_name": "mask.png"}, **image("init.png")},
            "paste": {"type": "canvas_v2_mask_and_crop", "source_image": {"image_name": "canvas.png"}},
            "blur": {"type": "img_blur", **image("nowhere.png")},
            "own": {"type": "save_image", **image(NAME)},
        },
        "edges": [edge("photo", "image", "resize", "image"), edge("resize", "image", "encode", "image")],
    }
    assert roles(of(graph=graph)) == {
        "init.png": {"init image"},
        "resized.png": {"init image"},
        "control.png": {"control"},
        "style.png": {"reference"},
        "kontext.png": {"reference"},
        "mask.png": {"mask"},
        "canvas.png": {"canvas"},
        "nowhere.png": {"image"},
    }


def test_images_in_the_metadata_are_named_with_their_roles() -> None:
    metadata = {
        "init_image": "init.png",
        "controlnets": [{"image": {"image_name": "edges.png"}}],
        "ipAdapters": [{"image": {"image_name": "style.png"}}],
        "ref_images": [{"config": {"image": {"original": {"image": {"image_name": "reference.png"}}}}}],
        "canvas_v2_metadata": {
            "rasterLayers": [{"objects": [{"type": "image", "image": {"image_name": "layer.png"}}]}],
            "controlLayers": [{"objects": [{"image": {"image_name": "depth.png"}}]}],
            "inpaintMasks": [{"objects": [{"image": {"image_name": "mask.png"}}]}],
        },
        "note": {"image_name": "some.png"},
    }
    found = {
        "init.png": {"init image"},
        "edges.png": {"control"},
        "style.png": {"reference"},
        "reference.png": {"reference"},
        "layer.png": {"canvas"},
        "depth.png": {"control"},
        "mask.png": {"mask"},
        "some.png": {"image"},
    }
    assert roles(of(metadata=metadata)) == found
    assert roles(of(served=metadata)) == found


@pytest.mark.parametrize("between", [(), ("img_resize",), ("img_crop",), ("img_crop", "img_resize")])
def test_the_source_of_an_image_to_image_graph_is_one_image_with_one_role(between: tuple[str, ...]) -> None:
    """The name is a field of the first node, and stands in the metadata and their node as well."""
    kinds = (*between, "i2l")
    nodes: Json = {kind: {"type": kind} for kind in kinds}
    nodes[kinds[0]]["image"] = {"image_name": "source.png"}
    metadata = {"generation_mode": "img2img", "init_image": "source.png", "strength": 0.75}
    nodes |= {"denoise": {"type": "denoise_latents"}, "metadata": {"type": "core_metadata", **metadata}}
    edges = [edge(before, "image", after, "image") for before, after in pairwise(kinds)]
    graph = {"nodes": nodes, "edges": [*edges, edge("i2l", "latents", "denoise", "latents")]}
    expected = [SourceImage("source.png", "init image")]
    assert of(graph=graph).sources == expected
    assert of(graph=graph, metadata=metadata).sources == expected
    assert of(graph=graph, served=metadata | {"init_image": {"image_name": "source.png"}}).sources == expected


def test_a_name_that_no_column_holds_is_left_out_and_there_is_an_end_to_them() -> None:
    wrong = [{"image_name": name} for name in ("", "a\0b", "\ud800", "x" * 300)]
    assert derive(NAME, Png(64, 64, json.dumps({"wrong": wrong}))).sources == []
    assert len(of(served={"many": [{"image_name": f"{n}.png"} for n in range(5000)]}).sources) == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
nodes = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(
        st.sampled_from(["type", "prompt", "model", "seed", "value", "lora", "image", "loras"]), json_values
    )
    | json_values,
)
ends = st.fixed_dictionaries(
    {
        "node_id": st.sampled_from("abcd") | json_values,
        "field": st.sampled_from(["value", "unet", "positive_conditioning"]),
    }
)
graphs = st.fixed_dictionaries(
    {
        "nodes": nodes | json_values,
        "edges": st.lists(st.fixed_dictionaries({"source": ends, "destination": ends})) | json_values,
    }
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(graphs | json_values)
def test_nothing_anybody_writes_there_is_an_error(graph: Any) -> None:
    assert isinstance(of(graph=graph), Derived)
    assert isinstance(of(workflow=graph), Derived)


def test_a_graph_in_circles_or_without_end_is_no_trouble() -> None:
    circle = {
        "nodes": {"a": {"type": "string"}, "b": {"type": "denoise"}},
        "edges": [edge("a", "value", "a", "value"), edge("a", "value", "b", "prompt"), edge("b", "unet", "b", "unet"),
                  edge("b", "x", "b", "positive_conditioning")],
    }  # fmt: skip
    assert of(graph=circle).sources == []
    assert of(graph={"nodes": {str(n): {"type": "a"} for n in range(10_000)}, "edges": []}) == of()
    assert derive(NAME, Png(64, 64, None, "[" * 9000, "{")) == of()

"""Bodies for `enqueue_batch`, as a user of InvokeAI's own pages would post them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def edge(source: str, field: str, destination: str, into: str) -> Json:
    return {"source": {"node_id": source, "field": field}, "destination": {"node_id": destination, "field": into}}


def batch(graph: Json, **options: Any) -> Json:
    """Options: runs, data, origin, destination, workflow, batch_id; and prepend."""
    prepend = options.pop("prepend", False)
    return {"prepend": prepend, "batch": {"graph": graph, "runs": 1, **options}}


def seeds(*values: int, node: str = "seed") -> list[list[Json]]:
    return [[{"node_path": node, "field_name": "value", "items": list(values)}]]


def _node(node_id: str, kind: str, **fields: Any) -> Json:
    return {"id": node_id, "type": kind, "is_intermediate": True, "use_cache": True, **fields}


def text_to_image(
    model: Json,
    *,
    prompt: str = "a lighthouse at dusk",
    negative: str = "blurry",
    seed: int = 1,
    size: tuple[int, int] = (64, 64),
    steps: int = 4,
    metadata: Json | None = None,
    board_id: str | None = None,
) -> Json:
    """SD 1 and 2 (graphs.md). `metadata` adds keys to the metadata node."""
    named = {part: model[part] for part in ("key", "hash", "name", "base", "type")}
    width, height = size
    output = {"fp32": True, "is_intermediate": False, "use_cache": False}
    nodes = [
        _node("seed", "integer", value=seed),
        _node("positive_prompt", "string", value=prompt),
        _node("negative_prompt", "string", value=negative),
        _node("model_loader", "main_model_loader", model=named),
        _node("clip_skip", "clip_skip", skipped_layers=0),
        _node("pos_cond", "compel"),
        _node("neg_cond", "compel"),
        _node("noise", "noise", use_cpu=True, width=width, height=height),
        _node("denoise", "denoise_latents", cfg_scale=7, scheduler="euler", steps=steps),
        _node(
            "core_metadata",
            "core_metadata",
            generation_mode="txt2img",
            width=width,
            height=height,
            steps=steps,
            cfg_scale=7,
            scheduler="euler",
            model=named,
            **(metadata or {}),
        ),
        _node("output", "l2i", **output, **({"board": {"board_id": board_id}} if board_id else {})),
    ]
    edges = [
        edge("model_loader", "unet", "denoise", "unet"),
        edge("model_loader", "clip", "clip_skip", "clip"),
        edge("clip_skip", "clip", "pos_cond", "clip"),
        edge("clip_skip", "clip", "neg_cond", "clip"),
        edge("positive_prompt", "value", "pos_cond", "prompt"),
        edge("negative_prompt", "value", "neg_cond", "prompt"),
        edge("pos_cond", "conditioning", "denoise", "positive_conditioning"),
        edge("neg_cond", "conditioning", "denoise", "negative_conditioning"),
        edge("seed", "value", "noise", "seed"),
        edge("noise", "noise", "denoise", "noise"),
        edge("denoise", "latents", "output", "latents"),
        edge("model_loader", "vae", "output", "vae"),
        edge("seed", "value", "core_metadata", "seed"),
        edge("positive_prompt", "value", "core_metadata", "positive_prompt"),
        edge("negative_prompt", "value", "core_metadata", "negative_prompt"),
        edge("core_metadata", "metadata", "output", "metadata"),
    ]
    return {"id": "text_to_image", "nodes": {node["id"]: node for node in nodes}, "edges": edges}


def sdxl_text_to_image(model: Json, *, lora: Json | None = None, weight: float = 0.75, **options: Any) -> Json:
    """SDXL, with one LoRA by way of a collection when given (graphs.md)."""
    graph = text_to_image(model, **options)
    nodes, edges = graph["nodes"], graph["edges"]
    nodes["model_loader"]["type"] = "sdxl_model_loader"
    nodes["core_metadata"]["generation_mode"] = "sdxl_txt2img"
    del nodes["clip_skip"]
    edges[:] = [
        each for each in edges if "clip_skip" not in (each["source"]["node_id"], each["destination"]["node_id"])
    ]
    source = "model_loader"
    if lora is not None:
        source = "lora_loader"
        named = {part: lora[part] for part in ("key", "hash", "name", "base", "type")}
        nodes["lora"] = _node("lora", "lora_selector", lora=named, weight=weight)
        nodes["loras"] = _node("loras", "collect")
        nodes[source] = _node(source, "sdxl_lora_collection_loader")
        edges[:] = [each for each in edges if each["source"] != {"node_id": "model_loader", "field": "unet"}]
        edges += [edge("lora", "lora", "loras", "item"), edge("loras", "collection", source, "loras")]
        edges += [edge("model_loader", part, source, part) for part in ("unet", "clip", "clip2")]
        edges.append(edge(source, "unet", "denoise", "unet"))
    for node in ("pos_cond", "neg_cond"):
        nodes[node]["type"] = "sdxl_compel_prompt"
        edges += [edge(source, part, node, part) for part in ("clip", "clip2")]
    return graph


def image_to_image(model: Json, image_name: str, *, strength: float = 0.6, **options: Any) -> Json:
    """As text_to_image, from an image named as a field of `i2l` (graphs.md)."""
    graph = text_to_image(model, **options)
    graph["nodes"]["encode"] = _node("encode", "i2l", image={"image_name": image_name}, fp32=True)
    graph["nodes"]["denoise"]["denoising_start"] = round(1 - strength, 6)
    graph["edges"] += [edge("model_loader", "vae", "encode", "vae"), edge("encode", "latents", "denoise", "latents")]
    return graph


def blank(*, width: int = 64, height: int = 64, is_intermediate: bool = False, use_cache: bool = False) -> Json:
    """One plain image; needs no model."""
    color = {"r": 200, "g": 40, "b": 90, "a": 255}
    node = _node("img", "blank_image", width=width, height=height, color=color)
    node |= {"is_intermediate": is_intermediate, "use_cache": use_cache}
    return {"id": "blank", "nodes": {"img": node}, "edges": []}


def echo(image_name: str) -> Json:
    """The `image` primitive: reports an existing image as its own output (FACTS §10)."""
    return {
        "id": "echo",
        "nodes": {"img": {"id": "img", "type": "image", "image": {"image_name": image_name}}},
        "edges": [],
    }


def failing(*, after_image: bool = False) -> Json:
    """A node that fails for want of its image; with `after_image`, a final image is saved first (FACTS §4)."""
    bad = {"id": "bad", "type": "img_blur", "image": {"image_name": "does-not-exist.png"}}
    if not after_image:
        return {"id": "failing", "nodes": {"bad": bad}, "edges": []}
    bad = {"id": "bad", "type": "img_blur", "radius": 1, "image": {"image_name": "does-not-exist.png"}}
    first = blank()["nodes"]["img"]
    return {"id": "failing", "nodes": {"img": first, "bad": bad}, "edges": []}


def several_images(count: int = 3) -> Json:
    """One source node iterated over a range, and all its images collected again (FACTS §4)."""
    stop = 64 * (count + 1)
    return {
        "id": "several",
        "nodes": {
            "range": {"id": "range", "type": "range", "start": 64, "stop": stop, "step": 64},
            "it": {"id": "it", "type": "iterate"},
            "img": blank()["nodes"]["img"],
            "coll": {"id": "coll", "type": "collect"},
        },
        "edges": [
            edge("range", "collection", "it", "collection"),
            edge("it", "item", "img", "width"),
            edge("img", "image", "coll", "item"),
        ],
    }


def three_maps() -> Json:
    """One node with three image fields in its result, after an intermediate image (FACTS §10)."""
    maps = {"id": "maps", "type": "pbr_maps", "is_intermediate": False, "use_cache": False}
    nodes = {"img": blank(is_intermediate=True)["nodes"]["img"], "maps": maps}
    return {"id": "three_maps", "nodes": nodes, "edges": [edge("img", "image", "maps", "image")]}

"""ComfyUI's graphs: what the nearest sampler was given, through all kinds of nodes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from service.media.metadata.comfyui import read_comfyui

Json = dict[str, Any]


def node(kind: str, **inputs: Any) -> Json:
    return {"class_type": kind, "inputs": inputs}


def to(id: str, output: int = 0) -> list[Any]:
    return [id, output]


def read(prompt: Json) -> Json:
    return read_comfyui({"prompt": msgspec.json.encode(prompt).decode()}) or {}


def basic(**changed: Any) -> Json:
    """The page's first example."""
    return {
        "sampler": node(
            "KSampler",
            seed=156680208700286,
            steps=20,
            cfg=8,
            sampler_name="euler",
            scheduler="normal",
            denoise=1,
            model=to("model"),
            positive=to("positive"),
            negative=to("negative"),
            latent_image=to("latent"),
        ),
        "model": node("CheckpointLoaderSimple", ckpt_name="sd\\v1-5-pruned-emaonly.safetensors"),
        "latent": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "positive": node("CLIPTextEncode", text="beautiful scenery", clip=to("model", 1)),
        "negative": node("CLIPTextEncode", text="text, watermark", clip=to("model", 1)),
        "decode": node("VAEDecode", samples=to("sampler"), vae=to("model", 2)),
        "save": node("SaveImage", filename_prefix="ComfyUI", images=to("decode")),
        **changed,
    }


def sampler(**changed: Any) -> Json:
    return node("KSampler", **(basic()["sampler"]["inputs"] | changed))


def test_the_pages_first_example() -> None:
    assert read(basic()) == {
        "positive_prompt": "beautiful scenery",
        "negative_prompt": "text, watermark",
        "seed": 156680208700286,
        "steps": 20,
        "cfg_scale": 8,
        "scheduler": "euler",
        "width": 512,
        "height": 768,
        "model": {"name": "v1-5-pruned-emaonly"},
    }


def test_a_graph_in_a_comment_of_exif_alone_or_beside_the_pages() -> None:
    alone = basic(extra={"airs": []}, extraMetadata="{}")
    for comment in (alone, {"prompt": basic(), "workflow": {"nodes": []}}):
        found = read_comfyui({"UserComment": msgspec.json.encode(comment).decode()}) or {}
        assert (found["positive_prompt"], found["seed"]) == ("beautiful scenery", 156680208700286)
    assert read_comfyui({"UserComment": '{"prompt": "a cat", "class_type": 5}'}) is None


def test_a_seed_of_64_bits_is_exact() -> None:
    assert read(basic(sampler=sampler(seed=2**64 - 1)))["seed"] == 2**64 - 1


def test_an_advanced_sampler() -> None:
    inputs = basic()["sampler"]["inputs"] | {"noise_seed": 7, "add_noise": "enable", "start_at_step": 0}
    del inputs["seed"]
    found = read(basic(sampler=node("KSamplerAdvanced", **inputs)))
    assert (found["seed"], found["steps"], found["positive_prompt"]) == (7, 20, "beautiful scenery")


def test_a_refiner_goes_on_with_the_seed_and_the_model_of_the_sampler_before_it() -> None:
    inputs = basic()["sampler"]["inputs"]
    base = node("KSamplerAdvanced", **inputs | {"noise_seed": 7, "add_noise": "enable"})
    refined = {"noise_seed": 0, "add_noise": "disable", "latent_image": to("sampler"), "model": to("refiner")}
    graph = basic(
        sampler=base,
        refine=node("KSamplerAdvanced", **inputs | refined),
        refiner=node("CheckpointLoaderSimple", ckpt_name="refiner.safetensors"),
        decode=node("VAEDecode", samples=to("refine"), vae=to("model", 2)),
    )
    del graph["sampler"]["inputs"]["seed"]
    del graph["refine"]["inputs"]["seed"]
    found = read(graph)
    assert (found["seed"], found["model"]["name"]) == (7, "v1-5-pruned-emaonly")


def flux(guider: Json) -> Json:
    return {
        "save": node("SaveImage", images=to("decode")),
        "decode": node("VAEDecode", samples=to("sample")),
        "sample": node(
            "SamplerCustomAdvanced",
            noise=to("noise"),
            guider=to("guider"),
            sampler=to("select"),
            sigmas=to("schedule"),
            latent_image=to("latent"),
        ),
        "noise": node("RandomNoise", noise_seed=1104223112230104),
        "guider": guider,
        "select": node("KSamplerSelect", sampler_name="euler"),
        "schedule": node("BasicScheduler", scheduler="simple", steps=20, denoise=0.75, model=to("shift")),
        "latent": node("EmptySD3LatentImage", width=to("width"), height=1024, batch_size=1),
        "width": node("PrimitiveInt", value=768),
        "shift": node("ModelSamplingFlux", model=to("lora"), max_shift=1.15, width=768, height=1024),
        "lora": node("LoraLoaderModelOnly", lora_name="flux/ink.safetensors", strength_model=0.9, model=to("unet")),
        "unet": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
        "guidance": node("FluxGuidance", guidance=3.5, conditioning=to("encode")),
        "encode": node("CLIPTextEncodeFlux", clip_l="a cat", t5xxl="a cat on a mat", guidance=3.5),
        "no": node("CLIPTextEncode", text="blurry"),
    }


@pytest.mark.parametrize(
    ("guider", "cfg", "negative"),
    [
        (node("BasicGuider", model=to("shift"), conditioning=to("guidance")), None, None),
        (node("CFGGuider", model=to("shift"), positive=to("guidance"), negative=to("no"), cfg=4.5), 4.5, "blurry"),
    ],
)
def test_flux_with_its_sampler_in_parts(guider: Json, cfg: float | None, negative: str | None) -> None:
    found = read(flux(guider))
    assert found["positive_prompt"] == "a cat\na cat on a mat"
    assert (found.get("negative_prompt"), found.get("cfg_scale")) == (negative, cfg)
    assert (found["seed"], found["steps"], found["scheduler"]) == (1104223112230104, 20, "euler")
    assert (found["guidance"], found["strength"]) == (3.5, 0.75)
    assert (found["width"], found["height"]) == (768, 1024)
    assert found["model"] == {"name": "flux1-dev"}
    assert found["loras"] == [{"model": {"name": "ink"}, "weight": 0.9}]


@pytest.mark.parametrize(
    ("nodes", "prompt"),
    [
        ({"positive": node("CLIPTextEncodeSDXL", text_g="a cat", text_l="a cat", width=1024)}, "a cat"),
        ({"positive": node("CLIPTextEncodeSDXL", text_g="a cat", text_l="soft", width=1024)}, "a cat\nsoft"),
        ({"positive": node("CLIPTextEncodeSD3", clip_l="", clip_g="a cat", t5xxl="a cat")}, "a cat"),
        ({"positive": node("Reroute", **{"": to("other")}), "other": node("CLIPTextEncode", text="a cat")}, "a cat"),
        (
            {
                "positive": node("CLIPTextEncode", text=to("words")),
                "words": node("PrimitiveStringMultiline", value="a cat"),
            },
            "a cat",
        ),
        (
            {"positive": node("CLIPTextEncode", text=to("words")), "words": node("String Literal", string="a cat")},
            "a cat",
        ),
        (
            {
                "positive": node("CLIPTextEncode", text=to("join")),
                "join": node("StringConcatenate", string_a=to("a"), string_b="on a mat", delimiter=", "),
                "a": node("PrimitiveString", value="a cat"),
            },
            "a cat, on a mat",
        ),
        (
            {
                "positive": node("CLIPTextEncode", text=to("show")),
                "show": node("ShowText|pysssss", text=to("join"), text_0="a cat\non a mat"),
                "join": node(
                    "Text Concatenate", delimiter="\\n", text_a="a cat", text_b="on a mat", clean_whitespace="true"
                ),
            },
            "a cat\non a mat",
        ),
        (
            {
                "positive": node("ConditioningCombine", conditioning_1=to("a"), conditioning_2=to("b")),
                "a": node("CLIPTextEncode", text="a cat"),
                "b": node("CLIPTextEncode", text="a mat"),
            },
            "a cat\na mat",
        ),
        (
            {
                "positive": node(
                    "ImpactWildcardEncode", wildcard_text="a __pet__", populated_text="a cat", clip=to("model")
                ),
            },
            "a cat",
        ),
        (
            {
                "positive": node(
                    "ControlNetApplyAdvanced",
                    positive=to("a"),
                    negative=to("b"),
                    control_net=to("model"),
                    image=to("model"),
                    strength=1,
                ),
                "a": node("CLIPTextEncode", text="a cat"),
                "b": node("CLIPTextEncode", text="blurry"),
            },
            "a cat",
        ),
        ({"positive": node("ConditioningZeroOut", conditioning=to("negative"))}, None),
        ({"positive": node("Reroute", **{"": to("positive")})}, None),
        ({"positive": node("Reroute", **{"": to("b")}), "b": node("Reroute", **{"": to("positive")})}, None),
        ({"positive": node("CLIPTextEncode", text=to("gone"))}, None),
        ({"positive": node("CLIPTextEncode", text=5)}, None),
    ],
)
def test_a_prompt_is_followed_through_what_hands_it_on(nodes: Json, prompt: str | None) -> None:
    found = read(basic(**nodes))
    assert found.get("positive_prompt") == prompt
    assert found["negative_prompt"] == "text, watermark"


def test_seed_and_steps_that_other_nodes_give() -> None:
    graph = basic(
        sampler=sampler(seed=to("seed"), steps=to("steps"), cfg=to("cfg")),
        seed=node("Seed (rgthree)", seed=99),
        steps=node("Reroute", **{"": to("number")}),
        number=node("PrimitiveInt", value=31),
        cfg=node("Float", Number="7.5", value=7.5),
    )
    found = read(graph)
    assert (found["seed"], found["steps"], found["cfg_scale"]) == (99, 31, 7.5)


@pytest.mark.parametrize("seed", [-1, None, "random", 1.5, True, 2**64, ["gone", 0], {}, []])
def test_a_seed_that_is_none_costs_nothing_else(seed: Any) -> None:
    found = read(basic(sampler=sampler(seed=seed)))
    assert "seed" not in found
    assert found["steps"] == 20


def test_loras_in_the_order_in_which_they_are_added() -> None:
    graph = basic(
        sampler=sampler(model=to("second")),
        second=node("LoraLoader", lora_name="b.safetensors", strength_model=0.5, strength_clip=1, model=to("first")),
        first=node("LoraLoader", lora_name="a.safetensors", strength_model=1, model=to("none"), clip=to("model", 1)),
        none=node("LoraLoader", lora_name="None", strength_model=1, model=to("off")),
        off=node("LoraLoader", lora_name="off.safetensors", strength_model=0, model=to("power")),
        power=node(
            "Power Lora Loader (rgthree)",
            lora_1={"on": True, "lora": "c.safetensors", "strength": 0.25},
            lora_2={"on": False, "lora": "d.safetensors", "strength": 1},
            model=to("stack"),
        ),
        stack=node("CR Apply LoRA Stack", model=to("model"), lora_stack=to("list")),
        list=node("CR LoRA Stack", switch_1="On", lora_name_1="e", model_weight_1=0.1, switch_2="Off", lora_name_2="f"),
    )  # fmt: skip
    found = read(graph)
    assert [(entry["model"]["name"], entry["weight"]) for entry in found["loras"]] == [
        ("e", 0.1),
        ("c", 0.25),
        ("a", 1),
        ("b", 0.5),
    ]
    assert found["model"]["name"] == "v1-5-pruned-emaonly"


def test_an_efficient_loader_has_all_in_one() -> None:
    loader = node(
        "Efficient Loader",
        ckpt_name="dream.safetensors",
        lora_name="ink.safetensors",
        lora_model_strength=0.7,
        positive="a cat",
        negative="blurry",
        empty_latent_width=512,
    )
    everything = sampler(model=to("all", 0), positive=to("all", 1), negative=to("all", 2), latent_image=to("all", 3))
    found = read({"sampler": everything, "all": loader, "save": node("Image Save", images=to("sampler", 5))})
    assert (found["positive_prompt"], found["negative_prompt"]) == ("a cat", "blurry")
    assert (found["model"]["name"], found["loras"][0]["weight"]) == ("dream", 0.7)


def test_of_two_samplers_the_nearest_to_the_saved_image_counts() -> None:
    graph = basic(
        decode=node("VAEDecode", samples=to("again"), vae=to("model", 2)),
        again=sampler(seed=8, positive=to("other"), latent_image=to("larger"), denoise=0.5),
        larger=node("LatentUpscale", samples=to("sampler"), width=1024, height=1536),
        other=node("CLIPTextEncode", text="beautiful, sharp", clip=to("model", 1)),
        first=node("PreviewImage", images=to("early")),
        early=node("VAEDecode", samples=to("sampler"), vae=to("model", 2)),
    )
    found = read(graph)
    assert (found["seed"], found["positive_prompt"], found["strength"]) == (8, "beautiful, sharp", 0.5)
    assert (found["width"], found["height"]) == (1024, 1536)


def test_what_mends_a_finished_image_is_not_its_sampler() -> None:
    detail = sampler(seed=8, image=to("decode"), positive=to("negative"))
    detail["class_type"] = "FaceDetailer"
    found = read(basic(save=node("SaveImage", images=to("detail")), detail=detail))
    assert (found["seed"], found["positive_prompt"]) == (156680208700286, "beautiful scenery")


def test_a_graph_that_goes_round_in_circles_ends() -> None:
    graph = basic()
    graph["model"] = node("LoraLoader", lora_name="a", strength_model=1, model=to("sampler"))
    graph["latent"] = node("LatentUpscale", samples=to("sampler"))
    graph["sampler"]["inputs"]["seed"] = to("sampler")
    assert read(graph)["positive_prompt"] == "beautiful scenery"
    assert read({"a": node("A", x=to("b")), "b": node("B", x=to("a"))}) == {}


@pytest.mark.parametrize(
    "prompt",
    ["a cat", "{", "{}", "[]", "null", '{"1": 5}', '{"1": {"class_type": "KSampler"}}', '{"1": {"class_type": 5}}'],
)
def test_what_is_no_graph_is_nothing(prompt: str) -> None:
    assert read_comfyui({"prompt": prompt}) is None


def workflow(*, tables: bool = False) -> Json:
    """As the page keeps it: values of widgets without their names, and links with numbers."""
    links = [[1, 4, 0, 3, 0, "MODEL"], [2, 6, 0, 3, 1, "CONDITIONING"], [3, 7, 0, 3, 2, "CONDITIONING"]]
    links += [
        [4, 5, 0, 3, 3, "LATENT"],
        [5, 3, 0, 8, 0, "LATENT"],
        [6, 8, 0, 9, 0, "IMAGE"],
        [7, 10, 0, 6, 1, "STRING"],
    ]

    def at(id: int, kind: str, values: list[Any], mode: int = 0, **inputs: int) -> Json:
        return {
            "id": id,
            "type": kind,
            "mode": mode,
            "widgets_values": values,
            "inputs": [{"name": name, "type": "*", "link": link} for name, link in inputs.items()],
        }

    numbers = [42, "randomize", 20, 8, "euler", "karras", 1]
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return {
        "nodes": [
            at(3, "KSampler", numbers, model=1, positive=2, negative=3, latent_image=4),
            at(4, "CheckpointLoaderSimple", ["dream.safetensors"]),
            at(5, "EmptyLatentImage", [512, 768, 1]),
            at(6, "CLIPTextEncode", [""], text=7),
            at(7, "CLIPTextEncode", ["blurry"]),
            at(8, "VAEDecode", [], samples=5),
            at(9, "SaveImage", ["ComfyUI"], images=6),
            at(10, "SomebodysText", ["a cat"]),
            at(11, "KSampler", [1, "fixed", 1, 1, "euler", "normal", 1], mode=2),
        ],
        "links": [dict(zip(names, link, strict=True)) for link in links] if tables else links,
    }  # fmt: skip


@pytest.mark.parametrize("tables", [False, True])
@pytest.mark.parametrize("prompt", [{}, {"prompt": "broken"}])
def test_only_the_pages_workflow(prompt: dict[str, str], tables: bool) -> None:
    found = read_comfyui({"workflow": msgspec.json.encode(workflow(tables=tables)).decode(), **prompt})
    assert found == {
        "positive_prompt": "a cat",
        "negative_prompt": "blurry",
        "seed": 42,
        "steps": 20,
        "cfg_scale": 8,
        "scheduler": "euler_k",
        "width": 512,
        "height": 768,
        "model": {"name": "dream"},
    }


def test_a_bypassed_node_hands_on_what_it_is_given() -> None:
    kept = workflow()
    kept["nodes"][0]["inputs"][0]["link"] = 8
    kept["links"] += [[8, 12, 0, 3, 0, "MODEL"], [9, 4, 0, 12, 0, "MODEL"]]
    lora = {"id": 12, "type": "LoraLoaderModelOnly", "widgets_values": ["ink", 1]}
    for mode, loras in ((4, None), (0, [{"model": {"name": "ink"}, "weight": 1}])):
        kept["nodes"] = [*kept["nodes"][:9], lora | {"mode": mode, "inputs": [{"name": "model", "link": 9}]}]
        found = read_comfyui({"workflow": msgspec.json.encode(kept).decode()}) or {}
        assert (found["model"], found.get("loras")) == ({"name": "dream"}, loras)


def test_ten_thousand_nodes_in_a_row() -> None:
    hands_on = {f"r{i}": node("Reroute", **{"": to(f"r{i + 1}")}) for i in range(10_000)}
    graph = basic(**hands_on, r10000=node("CLIPTextEncode", text="a cat"), positive=node("Reroute", **{"": to("r0")}))
    assert read(graph)["positive_prompt"] == "a cat"


def test_paths_that_lead_from_every_node_of_a_path_are_followed_so_far() -> None:
    """All of them together have the square of the nodes."""
    long = {f"r{i}": node("Reroute", **{"": to(f"r{i + 1}")}) for i in range(5_000)}
    latents = {
        f"l{i}": node("X", samples=to(f"l{i + 1}"), model=to(f"l{i + 1}"), width=to("r0"), ckpt_name=to("r2"))
        for i in range(5_000)
    }
    first = sampler(latent_image=to("l0"), model=to("l0"), seed=to("r0"), steps=to("r0"))
    found = read(basic(sampler=first, **long, **latents))
    assert found["positive_prompt"] == "beautiful scenery"


@pytest.mark.parametrize(("start", "least", "most"), [(15, 30_000, 100_000), (60, 0, 100_000), (3_000, 0, 0)])
def test_texts_that_double_at_each_node_end_at_a_length(start: int, least: int, most: int) -> None:
    doubled = {
        f"{side}{level}": node(
            "StringConcatenate", string_a=to(f"a{level - 1}"), string_b=to(f"b{level - 1}"), delimiter=side
        )
        for level in range(1, 3_001)
        for side in ("a", "b")
    }
    ends = {side: node("PrimitiveString", value=side) for side in ("a0", "b0")}
    found = read(basic(positive=node("CLIPTextEncode", text=to(f"a{start}")), **doubled, **ends))
    assert least <= len(found.get("positive_prompt", "")) <= most
    assert found["seed"] == 156680208700286

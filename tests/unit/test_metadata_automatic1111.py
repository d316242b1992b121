"""AUTOMATIC1111's text, and what Forge, SD.Next and Civitai add to it."""

from __future__ import annotations

from typing import Any

import pytest

from service.media.metadata.automatic1111 import read_automatic1111

SETTINGS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768"


def read(text: str, name: str = "parameters") -> dict[str, Any]:
    found = read_automatic1111({name: text})
    assert found is not None
    return found


def test_a_prompt_with_breaks_and_words_that_look_like_settings() -> None:
    prompt = "a cat, Steps: many\nBREAK a dog, Size: large\nSeed: 7"
    found = read(f"{prompt}\nNegative prompt: blurry\nSteps: 4, ugly\nBREAK low quality\n{SETTINGS}")
    assert found == {
        "positive_prompt": prompt,
        "negative_prompt": "blurry\nSteps: 4, ugly\nBREAK low quality",
        "seed": 5,
        "steps": 20,
        "cfg_scale": 7,
        "scheduler": "euler_a",
        "width": 512,
        "height": 768,
    }


def test_only_settings() -> None:
    found = read(SETTINGS)
    assert "positive_prompt" not in found
    assert found["seed"] == 5


def test_only_a_negative_prompt() -> None:
    found = read(f"Negative prompt: blurry\n{SETTINGS}")
    assert (found.get("positive_prompt"), found["negative_prompt"]) == (None, "blurry")


def test_only_a_prompt() -> None:
    assert read("a cat\na dog") == {"positive_prompt": "a cat\na dog"}
    assert read_automatic1111({"UserComment": "a cat"}) is None, "a comment of a camera is no prompt"
    assert read_automatic1111({"parameters": '{"a": 1}'}) is None


def test_lines_behind_the_settings_are_templates() -> None:
    found = read(f"a cat\nNegative prompt: blurry\n{SETTINGS}\nTemplate: a {{cat|dog}},\nNegative Template: blurry")
    assert (found["positive_prompt"], found["negative_prompt"], found["seed"]) == ("a cat", "blurry", 5)


def test_quoted_values_with_commas_colons_and_quotes() -> None:
    detailer = 'ADetailer prompt: "face, Seed: 9, \\"big\\" eyes: blue\\nand more", ADetailer model: face_yolov8n.pt'
    found = read(f"a cat\nSteps: 20, Sampler: Euler, {detailer}, Seed: 5, Model: my model")
    assert (found["seed"], found["model"]) == (5, {"name": "my model"})


def test_values_that_are_json() -> None:
    hashes = '{"vae": "63aeecb90f", "lora:ink": "abcdef012345", "model": "31e35c80fc"}'
    found = read(f"a cat <lora:ink:0.5>\n{SETTINGS}, Hashes: {hashes}, Version: v1.9.4")
    assert found["model"] == {"hash": "31e35c80fc"}
    assert found["loras"] == [{"model": {"name": "ink", "hash": "abcdef012345"}, "weight": 0.5}]


def test_a_quote_that_never_ends_costs_only_its_value() -> None:
    found = read('a cat\nSteps: 20, Note: "open, Sampler: Euler, Seed: 5, Model: m, Wildcard: [1, 2')
    assert (found["seed"], found["model"]) == (5, {"name": "m"})


@pytest.mark.parametrize(
    ("prompt", "settings", "loras"),
    [
        ("<lora:ink_v2:0.8> a cat", "", [("ink_v2", 0.8)]),
        ("<lora:ink:1:0.5> <lyco:wash:0.25>", "", [("ink", 1), ("wash", 0.25)]),
        ("<lora:folder/ink.safetensors>", "", [("ink", 1)]),
        ("<lora:ink:0> and <lora::1> and <lora:unclosed", "", []),
        ("a cat", 'Lora hashes: "ink: 0123, wash: 4567"', [("ink", 1), ("wash", 1)]),
        ("a cat", 'Lora hashes: "ink: 0123", Lora weights: "ink: 0.1"', [("ink", 0.1)]),
        (
            "a cat",
            'Civitai resources: [{"type": "checkpoint"}, {"type": "lora", "weight": 0.6, "modelName": "Ink, wash"}]',
            [("Ink, wash", 0.6)],
        ),
    ],
)
def test_loras(prompt: str, settings: str, loras: list[tuple[str, float]]) -> None:
    found = read(f"{prompt}\n{SETTINGS}, {settings}")
    assert [(entry["model"]["name"], entry["weight"]) for entry in found.get("loras", [])] == loras
    assert found["positive_prompt"] == prompt, "the prompt stays as it was written"


def test_civitai_names_the_model() -> None:
    resources = '[{"type":"checkpoint","modelVersionId":290640,"modelName":"Pony Diffusion","modelVersionName":"V6"}]'
    found = read(f"a cat\n{SETTINGS}, Clip skip: 2, Civitai resources: {resources}, Civitai metadata: {{}}")
    assert (found["model"], found["clip_skip"]) == ({"name": "Pony Diffusion"}, 2)


def test_forge() -> None:
    found = read(
        "a cat\nSteps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, "
        "Seed: 18446744073709551615, Size: 896x1152, Model hash: 2f3c5caac0, Model: flux1-dev-bnb-nf4-v2, "
        "Version: f2.0.1v1.10.1, Module 1: ae, Module 2: clip_l, Denoising strength: 0.4"
    )
    assert (found["seed"], found["cfg_scale"], found["guidance"], found["scheduler"]) == (2**64 - 1, 1, 3.5, "euler")
    assert (found["model"]["name"], found["strength"]) == ("flux1-dev-bnb-nf4-v2", 0.4)


def test_sd_next() -> None:
    found = read(
        "a cat\nNegative prompt: blurry\nSteps: 20, Size: 1024x768, Sampler: DPM++ 2M, Seed: 3147120736, CFG scale: 6, "
        "CFG true: 6, Clip skip: 1, Model: juggernaut.safetensors, Model hash: aeb7e9e689, App: SD.Next, "
        "Version: 0eb4a98, Operations: txt2img, Pipeline: StableDiffusionXLPipeline"
    )
    assert (found["model"], found["scheduler"]) == ({"name": "juggernaut", "hash": "aeb7e9e689"}, "dpmpp_2m")
    assert (found["width"], found["height"], found["seed"]) == (1024, 768, 3147120736)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends_of_windows(line_end: str) -> None:
    found = read(line_end.join(["a cat", "Negative prompt: blurry", SETTINGS]))
    assert (found["positive_prompt"], found["negative_prompt"], found["height"]) == ("a cat", "blurry", 768)


@pytest.mark.parametrize(
    ("sampler", "schedule", "scheduler"),
    [
        ("Euler a", "", "euler_a"),
        ("DPM++ 2M Karras", "", "dpmpp_2m_k"),
        ("DPM++ 2M", "Karras", "dpmpp_2m_k"),
        ("DPM++ 2M", "Automatic", "dpmpp_2m"),
        ("DPM++ 2M SDE Karras", "", "dpmpp_2m_sde_k"),
        ("DPM++ SDE", "Karras", "dpmpp_sde_k"),
        ("DPM2 a Karras", "", "kdpm_2_a_k"),
        ("PLMS", "", "pndm"),
        ("UniPC", "", "unipc"),
        ("Euler a", "Exponential", "Euler a Exponential"),
        ("Restart", "", "Restart"),
    ],
)
def test_samplers_have_the_names_of_invokeai_where_it_has_them(sampler: str, schedule: str, scheduler: str) -> None:
    found = read(f"a cat\nSteps: 20, Sampler: {sampler}, Schedule type: {schedule}, Seed: 5")
    assert found["scheduler"] == scheduler


@pytest.mark.parametrize("seed", ["-1", "18446744073709551616", "9" * 5000, "many", "", "١٢"])
def test_a_seed_that_is_none_costs_nothing_else(seed: str) -> None:
    found = read(f"a cat\nSteps: 20, Sampler: Euler, Seed: {seed}, Size: 64x64, Model: m")
    assert "seed" not in found
    assert (found["steps"], found["width"]) == (20, 64)

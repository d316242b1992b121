"""Fooocus, NovelAI, and InvokeAI of every version."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from service.media.metadata.fooocus import read_fooocus
from service.media.metadata.invokeai import read_invokeai
from service.media.metadata.novelai import read_novelai
from service.media.metadata.parameters import GenerationParameters
from service.media.metadata.read import found_in
from service.media.metadata.texts import Texts
from tests.fakes.batches import text_to_image

FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)",
    "base_model": "juggernautXL_v8Rundiffusion.safetensors",
    "base_model_hash": "aeb7e9e689",
    "full_prompt": ["a lighthouse, cinematic still", "a lighthouse, sharp"],
    "guidance_scale": 4,
    "loras": [["sd_xl_offset_example-lora_1.0.safetensors", 0.1, "4852686128"], ["None", 1.0, ""]],
    "metadata_scheme": "fooocus",
    "negative_prompt": "",
    "performance": "Speed",
    "prompt": "a lighthouse",
    "resolution": "(1152, 896)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "8170146233361474243",
    "sharpness": 2,
    "steps": 30,
    "styles": "['Fooocus V2', 'Fooocus Sharp']",
    "version": "Fooocus v2.5.5",
}
FOOOCUS_LOG = {
    "Prompt": "a lighthouse",
    "Negative Prompt": "blurry",
    "Styles": "['Fooocus V2']",
    "Performance": "Speed",
    "Resolution": "(1152, 896)",
    "Guidance Scale": 4.0,
    "Base Model": "juggernautXL_v8Rundiffusion.safetensors",
    "Refiner Model": "None",
    "Sampler": "dpmpp_2m_sde_gpu",
    "Scheduler": "karras",
    "Seed": "8170146233361474243",
    "LoRA 1": "sd_xl_offset_example-lora_1.0.safetensors : 0.1",
    "Version": "Fooocus v2.5.5",
}
NOVELAI_3 = {
    "prompt": "1girl, solo",
    "steps": 28,
    "height": 1216,
    "width": 832,
    "scale": 5.0,
    "seed": 3147120736,
    "noise_schedule": "karras",
    "sampler": "k_euler",
    "uc": "lowres",
}
NOVELAI_4 = NOVELAI_3 | {
    "prompt": "scenery",
    "sampler": "k_euler_ancestral",
    "noise_schedule": "native",
    "v4_prompt": {
        "caption": {
            "base_caption": "scenery, two people",
            "char_captions": [{"char_caption": "girl", "centers": []}, {"char_caption": "boy", "centers": []}],
        },
        "use_order": True,
    },
    "v4_negative_prompt": {"caption": {"base_caption": "lowres", "char_captions": [{"char_caption": ""}]}},
}


def text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def found(texts: dict[str, str]) -> tuple[str | None, GenerationParameters]:
    inside = Texts()
    for name, words in texts.items():
        inside.add(name, words)
    told = found_in(inside)
    assert told.parameters is not None
    return told.written_by, told.parameters


@pytest.mark.parametrize("name", ["parameters", "UserComment", "Comment", "comment"])
def test_fooocus(name: str) -> None:
    assert read_fooocus({name: text(FOOOCUS), "fooocus_scheme": "fooocus"}) == {
        "positive_prompt": "a lighthouse",
        "seed": 8170146233361474243,
        "steps": 30,
        "cfg_scale": 4,
        "scheduler": "dpmpp_2m_sde_k",
        "width": 1152,
        "height": 896,
        "model": {"name": "juggernautXL_v8Rundiffusion", "hash": "aeb7e9e689"},
        "loras": [{"model": {"name": "sd_xl_offset_example-lora_1.0", "hash": "4852686128"}, "weight": 0.1}],
        "styles": "['Fooocus V2', 'Fooocus Sharp']",
        "performance": "Speed",
    }


def test_the_log_of_fooocus() -> None:
    written_by, known = found({"parameters": text(FOOOCUS_LOG)})
    assert (written_by, known.prompt, known.negative_prompt) == ("fooocus", "a lighthouse", "blurry")
    assert (known.seed, known.model_name) == (8170146233361474243, "juggernautXL_v8Rundiffusion")
    assert known.loras == ["sd_xl_offset_example-lora_1.0"]


@pytest.mark.parametrize("scheme", [{"fooocus_scheme": "a1111"}, {}])
def test_fooocus_in_the_words_of_automatic1111(scheme: dict[str, str]) -> None:
    words = (
        "a lighthouse\nNegative prompt: blurry\nSteps: 30, Sampler: DPM++ 2M SDE, Seed: 7, Size: 1152x896, "
        'CFG scale: 4, Model: juggernautXL_v8, Model hash: aeb7e9e689, Lora hashes: "offset: 4852686128", '
        'Lora weights: "offset: 0.1", Version: Fooocus v2.5.5'
    )
    written_by, known = found({"parameters": words} | scheme)
    assert (written_by, known.prompt, known.model_name) == ("fooocus", "a lighthouse", "juggernautXL_v8")
    assert known.loras == ["offset"]


def test_novelai_3() -> None:
    texts = {
        "Title": "AI generated image",
        "Description": "1girl, solo",
        "Software": "NovelAI",
        "Source": "Stable Diffusion XL 7BCCAA2C",
        "Comment": text(NOVELAI_3),
    }
    assert read_novelai(texts) == {
        "positive_prompt": "1girl, solo",
        "negative_prompt": "lowres",
        "seed": 3147120736,
        "steps": 28,
        "cfg_scale": 5.0,
        "scheduler": "euler_k",
        "width": 832,
        "height": 1216,
        "model": {"name": "Stable Diffusion XL", "hash": "7BCCAA2C"},
    }


def test_novelai_4_has_a_caption_for_each_character() -> None:
    texts = {"Software": "NovelAI", "Source": "NovelAI Diffusion V4.5 4BDE2A90", "Comment": text(NOVELAI_4)}
    written_by, known = found(texts)
    assert (written_by, known.prompt, known.negative_prompt) == ("novelai", "scenery, two people\ngirl\nboy", "lowres")
    assert (known.model_name, known.model_hash) == ("NovelAI Diffusion V4.5", "4BDE2A90")


def test_a_webp_of_novelai_has_all_in_one_table() -> None:
    inside = {"Software": "NovelAI", "Source": "NovelAI Diffusion V4 37442FCA", "Comment": text(NOVELAI_3)}
    written_by, known = found({"UserComment": text(inside)})
    assert (written_by, known.prompt, known.model_name) == ("novelai", "1girl, solo", "NovelAI Diffusion V4")


def test_novelai_whose_table_is_broken_has_its_description() -> None:
    written_by, known = found({"Software": "NovelAI", "Description": "1girl", "Comment": '{"seed": 7'})
    assert (written_by, known.prompt, known.seed) == ("novelai", "1girl", None)


@pytest.mark.parametrize(
    ("dream", "prompt", "negative"),
    [
        ('"a lighthouse" -s 50 -S 42 -W 96 -H 64 -C 7.5 -A k_lms', "a lighthouse", None),
        ('"a "big" cat [ugly, dark] at dusk" -s50 -S42 -W96 -H64 -C7.5 -Ak_lms', 'a "big" cat at dusk', "ugly, dark"),
        ("a lighthouse -s50 -S42 -W96 -H64 -C7.5 -Ak_lms", "a lighthouse", None),
    ],
)  # fmt: skip
def test_the_commands_of_invokeai_1(dream: str, prompt: str, negative: str | None) -> None:
    written_by, known = found({"Dream": dream})
    assert (written_by, known.prompt, known.negative_prompt) == ("invokeai", prompt, negative)
    assert (known.seed, known.model_name) == (42, None)
    told = msgspec.json.decode(known.metadata or "")
    assert {name: told[name] for name in ("steps", "width", "height", "cfg_scale", "scheduler")} == {
        "steps": 50,
        "width": 96,
        "height": 64,
        "cfg_scale": 7.5,
        "scheduler": "lms",
    }


@pytest.mark.parametrize("prompt", ["a cat [ugly]", [{"prompt": "a cat", "weight": 1}, {"prompt": "[ugly]"}]])
def test_invokeai_2(prompt: Any) -> None:
    image = {"prompt": prompt, "seed": 42, "sampler": "k_euler_a", "steps": 5, "width": 96, "height": 64}
    metadata = {"model_weights": "stable-diffusion-1.5", "model_hash": "cc6c", "app_version": "2.3.5", "image": image}
    written_by, known = found({"sd-metadata": text(metadata), "Dream": '"another" -s 1 -S 1'})
    assert (written_by, known.prompt, known.negative_prompt, known.seed) == ("invokeai", "a cat", "ugly", 42)
    assert (known.model_name, known.model_hash) == ("stable-diffusion-1.5", "cc6c")
    assert msgspec.json.decode(known.metadata or "")["scheduler"] == "euler_a"


def test_invokeai_3_with_the_names_of_its_time() -> None:
    metadata = {
        "app_version": "3.0.0",
        "positive_prompt": "a cat",
        "seed": 42,
        "model": {"model_name": "stable-diffusion-v1-5", "base_model": "sd-1", "model_type": "main"},
        "loras": [{"lora": {"model_name": "ink", "base_model": "sd-1"}, "weight": 0.7}],
    }
    written_by, known = found({"invokeai_metadata": text(metadata)})
    assert (written_by, known.model_name, known.loras) == ("invokeai", "stable-diffusion-v1-5", ["ink"])


def test_invokeai_without_metadata_is_read_from_its_graph() -> None:
    graph = text_to_image(dict.fromkeys(("key", "hash", "name", "base", "type"), "k"), seed=42)
    nodes = {id: node for id, node in graph["nodes"].items() if node["type"] != "core_metadata"}
    written_by, known = found({"invokeai_graph": text({**graph, "nodes": nodes})})
    assert (written_by, known.seed) == ("invokeai", 42)
    assert msgspec.json.decode(known.metadata or "")["taken_from"] == "graph"


def test_images_that_an_upload_of_invokeai_was_made_from_are_named() -> None:
    metadata = {"positive_prompt": "a cat", "init_image": "first.png", "control": [{"image": {"image_name": "c.png"}}]}
    sources = read_invokeai({"invokeai_metadata": text(metadata)}).sources
    assert {(source.image_name, source.role) for source in sources} == {
        ("first.png", "init image"),
        ("c.png", "control"),
    }


def test_a_list_where_a_prompt_is_meant_says_nothing_of_the_prompt() -> None:
    written_by, known = found({"invokeai_metadata": text({"positive_prompt": ["a", "b"], "seed": 42})})
    assert (written_by, known.prompt, known.seed) == ("invokeai", None, 42)

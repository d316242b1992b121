"""A LoRA of random weights for the tiny models, small enough to be made anew for each run.

It has the names and shapes of the cross attention in those models' UNets, in the format of kohya's scripts, which
InvokeAI identifies by them as `lora` of the base. It changes every pixel and shows nothing.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator

RANK = 4

# The attention blocks of the tiny UNets, and how wide each is.
BLOCKS = {
    "sd-1": {"down_blocks_2_attentions_0": 64, "mid_block_attentions_0": 64, "up_blocks_1_attentions_0": 64},
    "sdxl": {"down_blocks_2_attentions_0": 64, "mid_block_attentions_0": 64, "up_blocks_0_attentions_0": 64},
}
CONTEXT = {"sd-1": 768, "sdxl": 2048}


def tiny_lora(base: str) -> bytes:
    """A safetensors file, the same each time."""
    numbers = random.Random(base)
    header: dict[str, object] = {}
    body = bytearray()
    for name, shape in _tensors(base):
        count = 1
        for size in shape:
            count *= size
        values = [numbers.gauss(0, 1) for _ in range(count)] if shape else [float(RANK)]
        content = struct.pack(f"<{count}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + body


def _tensors(base: str) -> Iterator[tuple[str, list[int]]]:
    for block, width in BLOCKS[base].items():
        for layer, taken in {"to_q": width, "to_k": CONTEXT[base], "to_v": CONTEXT[base], "to_out_0": width}.items():
            name = f"lora_unet_{block}_transformer_blocks_0_attn2_{layer}"
            yield f"{name}.lora_down.weight", [RANK, taken]
            yield f"{name}.lora_up.weight", [width, RANK]
            yield f"{name}.alpha", []

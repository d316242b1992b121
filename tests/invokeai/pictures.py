"""Pictures to make others from, and how far apart two are."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import pyvips

Pixels = npt.NDArray[np.int16]


def unlike_any_other(width: int, height: int) -> pyvips.Image:
    """Soft colours, and a few random ones: what is at the server already is another picture."""
    down, across = np.mgrid[0:height, 0:width]
    soft = np.stack([across * 255 // width, down * 255 // height, 255 - across * 255 // width], -1).astype(np.uint8)
    soft[: height // 4, : width // 4] = np.frombuffer(os.urandom(3), np.uint8)
    return pyvips.Image.new_from_array(soft).copy(interpretation="srgb")


def cmyk_jpeg(picture: pyvips.Image) -> bytes:
    """As for print, with the profile of its colours."""
    return bytes(picture.icc_transform("cmyk", input_profile="srgb").jpegsave_buffer(Q=95))


def pixels(content: bytes) -> Pixels:
    """Of a picture as a person sees it: upright, in red, green and blue."""
    image = pyvips.Image.new_from_buffer(content, "").autorot()
    if image.interpretation == "cmyk":
        image = image.icc_transform("srgb", input_profile="cmyk", embedded=True)
    return np.asarray(image.numpy()[..., :3], np.int16)


def difference(one: Pixels, other: Pixels) -> float:
    """The mean of 255 shades."""
    assert one.shape == other.shape
    return float(np.abs(one - other).mean())


def png(picture: pyvips.Image) -> bytes:
    return bytes(picture.pngsave_buffer())

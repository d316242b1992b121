"""Pictures for tests, as files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from service.demo.png import encode_png


def png_of(width: int, height: int, *, shade: int = 128, texts: Mapping[str, Any] | None = None) -> bytes:
    """A PNG of one colour. `texts` are written into it as InvokeAI does: text as it is, all else as JSON."""
    pixels = np.full((height, width, 3), shade, np.uint8)
    inside = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in (texts or {}).items()
    }
    return encode_png(pixels, inside)

"""Types of which Litestar's OpenAPI would say something else than msgspec accepts, unless told in its own words."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Raw

MINIMUM_ZERO: Final[dict[str, Any]] = {"minimum": 0}
"""Bounds of 0 are dropped where the value may also be absent or null."""
FROM_ZERO: Final = Meta(ge=0, extra_json_schema={"extra": MINIMUM_ZERO})
ABOVE_ZERO: Final = Meta(gt=0, extra_json_schema={"extra": {"exclusive_minimum": 0}})

NullableJson = Annotated[Raw | None, Meta(extra_json_schema={"extra": {"one_of": None}})]
"""Any JSON. As a plain union it would be `oneOf` anything and null, which null, being both, does not satisfy."""

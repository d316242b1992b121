"""Types whose JSON schema Litestar would get wrong, each with its own schema."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar.openapi.spec import OpenAPIType
from msgspec import Meta, Raw

MINIMUM_ZERO: Final[dict[str, Any]] = {"minimum": 0}
"""Bounds of 0 are dropped where the value may also be absent or null."""
FROM_ZERO: Final = Meta(ge=0, extra_json_schema={"extra": MINIMUM_ZERO})

_OBJECT_OR_NULL: Final[dict[str, Any]] = {"one_of": None, "type": [OpenAPIType.OBJECT, OpenAPIType.NULL]}
NullableObject = Annotated[
    Raw | None, Meta(extra_json_schema={"extra": _OBJECT_OR_NULL | {"additional_properties": True}})
]
"""A JSON object as it is stored, or null."""

"""JSON bodies, decoded strictly: what our own API takes is typed exactly as its OpenAPI says."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from service.errors import ValidationError

VISIBLE_LINE = r"^[^\x00-\x1f]*[^\x00-\x1f\s][^\x00-\x1f]*$"
"""A name that somebody is to read in one line: no control characters, and something that shows."""


class StrictRequest(Request[Any, Any, Any]):
    """The framework would decode into anything and convert leniently: "512" would pass for 512, and "null" for null."""

    async def body(self) -> bytes:
        """ValidationError where it broke off, or is empty and must not be."""
        try:
            body = await super().body()
        except InternalServerException as error:  # the framework's word for a client that left in the middle
            raise ValidationError("the body broke off before its end") from error
        field = self.route_handler.parsed_data_field
        if not body and field is not None and not field.is_optional:
            raise ValidationError("a JSON body is needed")
        return body

    async def json(self) -> Any:
        """The body as its handler's type. ValidationError says what is wrong, and where."""
        field = self.route_handler.parsed_data_field
        try:
            return msgspec.json.decode(await self.body() or b"null", type=field.annotation if field else Any)
        except msgspec.DecodeError as error:
            raise ValidationError(_words(error)) from error
        except UnicodeDecodeError as error:
            raise ValidationError("the body is not UTF-8") from error
        except RecursionError as error:
            raise ValidationError("the body is nested too deeply") from error


def _words(error: msgspec.DecodeError) -> str:
    """`Expected …` with the field before it, where there is one."""
    what, _, where = str(error).partition(" - at `$")
    where = where.rstrip("`").lstrip(".")
    return f"{where}: {what}" if where else what

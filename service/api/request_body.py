"""Decodes JSON bodies strictly: values must have exactly the types of the OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from litestar.handlers import HTTPRouteHandler
from litestar.typing import FieldDefinition
from multipart import parse_options_header

from service.errors import RequestTimeout, UnsupportedMediaType, ValidationError

JSON: Final = "application/json"

BODY_SECONDS: Final = 60.0
"""Seconds for a whole JSON body, which has at most 2 MB."""
VISIBLE_LINE = r"^[^\x00-\x1f]*[^\x00-\x1f\s][^\x00-\x1f]*$"
"""A visible name on one line: no control characters, and at least one visible character."""


# Litestar documents neither of these parts of its handlers: pyproject.toml has an upper bound for it.


def body_field(handler: HTTPRouteHandler) -> FieldDefinition | None:
    """The parameter that takes the body, if there is one."""
    return handler.parsed_data_field


def taken_from_request(handler: HTTPRouteHandler) -> AbstractSet[str]:
    """Names of the parameters that come from path, query, header or body."""
    return handler.parsed_fn_signature.parameters.keys() - handler.resolve_dependencies().keys() - {"request"}


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON body is decoded strictly. The framework would convert: "512" would pass for 512, and "null"
    for null."""

    async def body(self) -> bytes:
        """The body. Raises ValidationError if it broke off, or is empty and must not be; RequestTimeout if it does not
        come."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await super().body()
        except TimeoutError:
            raise RequestTimeout(f"the body did not come within {BODY_SECONDS:g} s") from None
        except InternalServerException as error:  # the framework's error for a client that left in the middle
            raise ValidationError("the body broke off before its end") from error
        field = body_field(self.route_handler)
        if not body and field is not None and not field.is_optional:
            raise ValidationError("a JSON body is needed")
        return body

    async def json(self) -> Any:
        """The body as its handler's type. ValidationError says what is wrong, and where. Raises UnsupportedMediaType if
        it is not sent as JSON: a form of another site can send a body that reads like JSON, but not this type."""
        field = body_field(self.route_handler)
        body = await self.body()
        if body and parse_options_header(self.headers.get("content-type", ""))[0] != JSON:
            raise UnsupportedMediaType(f"send the body as {JSON}")
        try:
            return msgspec.json.decode(body or b"null", type=field.annotation if field else Any)
        except msgspec.DecodeError as error:
            raise _not_valid(error) from error
        except UnicodeDecodeError as error:
            raise ValidationError("the body is not UTF-8") from error
        except RecursionError as error:
            raise ValidationError("the body is nested too deeply") from error


def _not_valid(error: msgspec.DecodeError) -> ValidationError:
    """The error with the field's name, if there is one; `details.field` is that field."""
    what, _, where = str(error).partition(" - at `$")
    where = where.rstrip("`").lstrip(".")
    if not where:
        return ValidationError(what)
    return ValidationError(f"{where}: {what}", {"field": where.partition("[")[0]})

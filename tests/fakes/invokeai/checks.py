"""Checks of node fields, as InvokeAI's: what they take, and the words they refuse the rest with (FACTS §7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

MODEL_PARTS = ("key", "hash", "name", "base", "type")


class InvalidFieldError(Exception):
    """A value a field does not take; carries the body of a 422 `detail` entry without `loc`."""

    def __init__(self, kind: str, message: str, value: Any, ctx: Json | None = None, at: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.detail: Json = {"type": kind, "msg": message, "input": value} | ({"ctx": ctx} if ctx else {})
        self.at = at


Check = Callable[[Any], Any]


def seed(value: Any) -> int:
    """Any integer, modulo 2^32 (graphs.md, Traps)."""
    return int(integer()(value)) % 2**32


def anything(value: Any) -> Any:
    return value


def string(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidFieldError("string_type", "Input should be a valid string", value)
    return value


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidFieldError("bool_type", "Input should be a valid boolean", value)
    return value


def integer(*, ge: int | None = None, gt: int | None = None, multiple_of: int | None = None) -> Check:
    def check(value: Any) -> int:
        whole = _integer(value)
        _bounds(whole, ge, gt)
        if multiple_of and whole % multiple_of:
            message = f"Input should be a multiple of {multiple_of}"
            raise InvalidFieldError("multiple_of", message, value, {"multiple_of": multiple_of})
        return whole

    return check


def number(*, ge: float | None = None, gt: float | None = None, le: float | None = None) -> Check:
    def check(value: Any) -> float:
        parsed = _number(value)
        _bounds(parsed, ge, gt, le)
        return parsed

    return check


def _integer(value: Any) -> int:
    """Takes what pydantic takes: also a whole float, and a text of digits."""
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            message = "Input should be a valid integer, unable to parse string as an integer"
            raise InvalidFieldError("int_parsing", message, value) from None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidFieldError("int_type", "Input should be a valid integer", value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            message = "Input should be a valid number, unable to parse string as a number"
            raise InvalidFieldError("float_parsing", message, value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFieldError("float_type", "Input should be a valid number", value)
    return float(value)


def _bounds(value: float, ge: float | None, gt: float | None, le: float | None = None) -> None:
    if ge is not None and value < ge:
        raise InvalidFieldError(
            "greater_than_equal", f"Input should be greater than or equal to {ge}", value, {"ge": ge}
        )
    if gt is not None and value <= gt:
        raise InvalidFieldError("greater_than", f"Input should be greater than {gt}", value, {"gt": gt})
    if le is not None and value > le:
        raise InvalidFieldError("less_than_equal", f"Input should be less than or equal to {le}", value, {"le": le})


def choice(*words: str) -> Check:
    expected = ", ".join(f"'{word}'" for word in words[:-1]) + f" or '{words[-1]}'"

    def check(value: Any) -> str:
        if value not in words:
            raise InvalidFieldError("literal_error", f"Input should be {expected}", value, {"expected": expected})
        return str(value)

    return check


def record(*names: str, optional: Json | None = None) -> Check:
    """An object with the given keys, all required, and the optional ones with their defaults."""

    def check(value: Any) -> Json:
        if not isinstance(value, dict):
            raise InvalidFieldError("model_type", "Input should be a valid dictionary or object", value)
        for name in names:
            if name not in value:
                raise InvalidFieldError("missing", "Field required", value, at=(name,))
        return {name: value[name] for name in names} | {k: value.get(k, d) for k, d in (optional or {}).items()}

    return check


def collection(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidFieldError("list_type", "Input should be a valid list", value)
    return value


def numbers(value: Any) -> Any:
    check = number()
    return [check(item) for item in value] if isinstance(value, list) else check(value)


model = record(*MODEL_PARTS, optional={"submodel_type": None})
image = record("image_name")
color = record("r", "g", "b", "a")
size = integer(gt=0, multiple_of=8)
unit = number(ge=0, le=1)

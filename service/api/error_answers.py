"""Turns errors into answers: `{"error": {"code", "message", "details"?}}` for every failure."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.exceptions import ValidationException as LitestarValidationException
from litestar.openapi import ResponseSpec
from litestar.types import ExceptionHandlersMap

from service.api.security_headers import SECURITY_HEADERS
from service.errors import (
    ApiError,
    BackendUnavailable,
    DatabaseAway,
    GenerationError,
    InvokeError,
    InvokeNotFound,
    InvokeRefused,
    NotFound,
    TooManyRequests,
    Unavailable,
    ValidationError,
)

log = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]

CODES: Final = {
    400: "validation_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    431: "head_too_large",
}


class Error(msgspec.Struct, omit_defaults=True):
    code: str
    message: str
    details: Any = None


class ErrorBody(msgspec.Struct):
    error: Error


def failures(*statuses: int) -> dict[int, ResponseSpec]:
    """The error answers of a handler for its OpenAPI description."""
    return {
        status: ResponseSpec(ErrorBody, generate_examples=False, description=HTTPStatus(status).phrase)
        for status in statuses
    }


def error_body(error: ApiError) -> bytes:
    return msgspec.json.encode(ErrorBody(Error(error.code, error.message, error.details)))


def error_headers(error: ApiError) -> dict[str, str]:
    """The headers that the status needs."""
    if isinstance(error, Unavailable):
        return {"retry-after": str(error.retry_after_seconds)}
    seconds = (error.details or {}).get("retry_after_seconds") if isinstance(error, TooManyRequests) else None
    return {"retry-after": str(seconds)} if seconds is not None else {}


def _answer(status: int, code: str, message: str, details: Any = None) -> Response[ErrorBody]:
    headers = SECURITY_HEADERS | {"cache-control": "no-store"}
    body = ErrorBody(Error(code, message, details))
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def answer_api_error(_: AnyRequest, error: ApiError) -> Response[ErrorBody]:
    response = _answer(error.status, error.code, error.message, error.details)
    response.headers.update(error_headers(error))
    return response


def answer_database_away(request: AnyRequest, error: DatabaseAway) -> Response[ErrorBody]:
    """503: the same request may succeed in a moment."""
    log.warning("database away", method=request.method, path=request.url.path, error=repr(error.__cause__))
    return answer_api_error(request, error)


def answer_invoke_error(request: AnyRequest, error: InvokeError) -> Response[ErrorBody]:
    """InvokeAI was called while the client waits."""
    words = str(error) or "InvokeAI could not be reached"
    if isinstance(error, InvokeRefused):
        return answer_api_error(request, GenerationError(words))
    if isinstance(error, InvokeNotFound):
        return answer_api_error(request, NotFound(words))
    return answer_api_error(request, BackendUnavailable(words))


def answer_litestar_validation(request: AnyRequest, error: LitestarValidationException) -> Response[ErrorBody]:
    """400 with the framework's findings about parameters or body, field by field."""
    problems = error.extra if isinstance(error.extra, list) else []
    words = [f"{problem['key']}: {problem['message']}" for problem in problems if problem.get("key")]
    words += [problem["message"] for problem in problems if not problem.get("key")]
    return answer_api_error(request, ValidationError("; ".join(words) or error.detail))


def answer_msgspec_validation(request: AnyRequest, error: msgspec.ValidationError) -> Response[ErrorBody]:
    return answer_api_error(request, ValidationError(str(error)))


def answer_unstorable(request: AnyRequest, _: Exception) -> Response[ErrorBody]:
    return answer_api_error(request, ValidationError("text may not hold NUL characters"))


def answer_http_exception(request: AnyRequest, error: HTTPException) -> Response[ErrorBody]:
    """Errors the framework raises by itself: no such path, method or media type, a body too large or broken."""
    status = error.status_code
    if status >= 500:
        return answer_anything(request, error)
    message = error.detail or HTTPStatus(status).phrase
    if status == 404:
        message = f"there is nothing at {request.url.path}"
    elif status == 405:
        message = f"{request.method} is not possible at {request.url.path}"
    response = _answer(status, CODES.get(status, "validation_error"), message)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def answer_anything(request: AnyRequest, error: Exception) -> Response[ErrorBody]:
    """500 without details; the log has the whole error."""
    log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return _answer(500, "server_error", "something went wrong in Darkroom; its log says what")


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    ApiError: answer_api_error,
    DatabaseAway: answer_database_away,
    InvokeError: answer_invoke_error,
    LitestarValidationException: answer_litestar_validation,
    msgspec.ValidationError: answer_msgspec_validation,
    asyncpg.CharacterNotInRepertoireError: answer_unstorable,
    asyncpg.UntranslatableCharacterError: answer_unstorable,
    HTTPException: answer_http_exception,
    Exception: answer_anything,
}

"""What went wrong, as JSON problem details (RFC 9457): the one place that maps errors to HTTP statuses.

Registered on the app by `api/component.py`; nobody ever sees a stack trace.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from api.models import ParameterError, ProblemDetails
from query import QuestionError
from telemetry import RetryableError

MEDIA_TYPE: Final = "application/problem+json"

_FIELD_FIRST: Final = re.compile(r"([a-z_]+): ")
_UNPROCESSABLE: Final = "Unprocessable Content"
"""The phrase of RFC 9110; the standard library's differs between Python versions."""

_log = structlog.get_logger(__name__)


def problem(
    status: int, detail: str, errors: Sequence[ParameterError] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """Return a problem response; `detail` is for the reader of it."""
    title = _UNPROCESSABLE if status == 422 else HTTPStatus(status).phrase
    body = ProblemDetails(title=title, status=status, detail=detail, errors=list(errors))
    return JSONResponse(body.model_dump(), status, headers=headers, media_type=MEDIA_TYPE)


def register(app: FastAPI) -> None:
    """Answer every error with a problem."""
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(QuestionError, _question_out_of_bounds)
    app.add_exception_handler(RetryableError, _unavailable)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_parameter_error(one) for one in error.errors()]
    return problem(422, "; ".join(f"{one.parameter}: {one.message}" for one in errors), errors)


def _parameter_error(error: Mapping[str, Any]) -> ParameterError:
    place, *rest = error["loc"]
    names = [part for part in rest if isinstance(part, str)]
    message = _message_of(error)
    if place != "body":
        # The parameter's own name, out of ("query", "group_by", 0).
        return ParameterError(parameter=next(iter(names), "request"), message=message)
    if error["type"] == "value_error" and (match := _FIELD_FIRST.match(message)):
        # What a check of the whole says begins with the field that is at fault.
        names, message = [*names, match[1]], message[match.end() :]
    return ParameterError(parameter=".".join(names) or "body", message=message)


def _message_of(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such parameter; /openapi.json lists them"
    return str(error["msg"]).removeprefix("Value error, ")


async def _question_out_of_bounds(request: Request, error: Exception) -> Response:
    assert isinstance(error, QuestionError)
    parameter = error.parameter.removesuffix("_s")
    # Not the question is at fault, but where its answer was left off: the list is to be asked for from the beginning.
    status = 400 if parameter == "cursor" else 422
    return problem(status, f"{parameter}: {error}", [ParameterError(parameter=parameter, message=str(error))])


async def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RetryableError)
    return problem(503, str(error), headers={"Retry-After": str(max(math.ceil(error.retry_after_s), 1))})


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        # The framework's own, for a body that is no text in UTF-8.
        fault = ParameterError(parameter="body", message="it cannot be read as JSON")
        return problem(422, f"{fault.parameter}: {fault.message}", [fault])
    detail = error.detail
    if error.status_code == 405:
        detail = f"{request.method} is not allowed here"
    return problem(error.status_code, detail, headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, "the request failed inside ModelWatch; its log says why")

"""The mapping from errors to answers."""

from __future__ import annotations

import json

import grpc
import pytest
from google.rpc.status_pb2 import Status

from otlp_receiver import errors
from otlp_receiver.statuses import JSON, PROTOBUF, foreseen, grpc_answer, http_answer, http_success
from telemetry import PermanentError, RetryableError

RETRYABLE = [RetryableError, errors.OverloadedError]
PERMANENT = {
    PermanentError: (grpc.StatusCode.INVALID_ARGUMENT, 400),
    errors.MalformedError: (grpc.StatusCode.INVALID_ARGUMENT, 400),
    errors.UnauthenticatedError: (grpc.StatusCode.UNAUTHENTICATED, 401),
    errors.UnknownPathError: (grpc.StatusCode.UNIMPLEMENTED, 404),
    errors.WrongMethodError: (grpc.StatusCode.UNIMPLEMENTED, 405),
    errors.TooLargeError: (grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    errors.UnsupportedMediaTypeError: (grpc.StatusCode.INVALID_ARGUMENT, 415),
}


@pytest.mark.parametrize("kind", PERMANENT)
def test_permanent_errors_have_codes_that_clients_do_not_retry(kind: type[PermanentError]) -> None:
    """Each permanent error has its code on either side, and no hint to retry."""
    grpc_side, http_side = grpc_answer(kind("why")), http_answer(kind("why"), PROTOBUF)
    assert (grpc_side.code, http_side.status) == PERMANENT[kind]
    assert grpc_side.trailers == ()
    assert b"retry-after" not in dict(http_side.headers)


@pytest.mark.parametrize("kind", RETRYABLE)
@pytest.mark.parametrize(("asked_s", "header"), [(0, b"1"), (0.2, b"1"), (1, b"1"), (1.01, b"2"), (3, b"3")])
def test_retryable_errors_hint_at_a_delay(kind: type[RetryableError], asked_s: float, header: bytes) -> None:
    """`Retry-After` is a whole number of seconds of at least one; gRPC carries `RetryInfo` in both trailers."""
    error = kind("why", retry_after_s=asked_s)
    http_side, grpc_side = http_answer(error, PROTOBUF), grpc_answer(error)
    assert (http_side.status, dict(http_side.headers)[b"retry-after"]) == (503, header)
    assert grpc_side.code is grpc.StatusCode.UNAVAILABLE
    assert [name for name, _ in grpc_side.trailers] == ["google.rpc.retryinfo-bin", "grpc-status-details-bin"]


def test_an_http_error_is_a_status_in_the_form_of_the_request() -> None:
    """Protobuf is answered in protobuf, JSON in JSON, and anything else in JSON."""
    error = errors.MalformedError("why")
    as_protobuf = http_answer(error, PROTOBUF)
    assert Status.FromString(as_protobuf.body) == Status(code=3, message="why")
    assert (b"content-type", PROTOBUF.encode()) in as_protobuf.headers
    for content_type in (JSON, "text/plain", ""):
        answer = http_answer(error, content_type)
        assert json.loads(answer.body) == {"code": 3, "message": "why"}
        assert (b"content-type", JSON.encode()) in answer.headers


def test_success_is_an_empty_message() -> None:
    """Nothing at all in protobuf, an empty object in JSON."""
    assert (http_success(PROTOBUF).body, http_success(JSON).body) == (b"", b"{}")


def test_a_message_stays_short() -> None:
    """However long an error's text, the answer stays far below the 4 MiB that clients accept."""
    assert len(grpc_answer(PermanentError("x" * 10_000_000)).details) == 1000


def test_unforeseen_errors_become_retryable() -> None:
    """The two classes of error pass unchanged; whatever else there is becomes retryable, without its text."""
    known = [PermanentError("a"), RetryableError("b"), errors.TooLargeError("c")]
    assert [foreseen(error) for error in known] == known
    stranger = foreseen(KeyError("a secret"))
    assert isinstance(stranger, RetryableError)
    assert "secret" not in str(stranger)

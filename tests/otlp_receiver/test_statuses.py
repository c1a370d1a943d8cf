"""The mapping from errors to answers."""

from __future__ import annotations

import json

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from otlp_receiver import errors
from otlp_receiver.signals import ROUTES
from otlp_receiver.statuses import JSON, PROTOBUF, foreseen, grpc_answer, grpc_success, http_answer, http_success
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
    assert "google.rpc.retryinfo-bin" not in dict(grpc_side.trailers)
    assert b"retry-after" not in dict(http_side.headers)


@pytest.mark.parametrize("kind", RETRYABLE)
@pytest.mark.parametrize(
    ("asked_s", "header"), [(0, b"1"), (0.2, b"1"), (1, b"1"), (1.01, b"2"), (3, b"3"), (30, b"3")]
)
def test_retryable_errors_hint_at_a_delay(kind: type[RetryableError], asked_s: float, header: bytes) -> None:
    """`Retry-After` is a whole number of seconds from 1 to 3; gRPC carries `RetryInfo` in both trailers."""
    error = kind("why", retry_after_s=asked_s)
    http_side, grpc_side = http_answer(error, PROTOBUF), grpc_answer(error)
    assert (http_side.status, dict(http_side.headers)[b"retry-after"]) == (503, header)
    assert grpc_side.code is grpc.StatusCode.UNAVAILABLE
    delay = RetryInfo.FromString(dict(grpc_side.trailers)["google.rpc.retryinfo-bin"]).retry_delay.ToTimedelta()
    assert delay.total_seconds() == min(max(1, asked_s), 3)
    in_details = RetryInfo()
    assert Status.FromString(dict(grpc_side.trailers)["grpc-status-details-bin"]).details[0].Unpack(in_details)
    assert in_details.retry_delay.ToTimedelta() == delay


def test_an_http_error_is_a_status_in_the_form_of_the_request() -> None:
    """Protobuf is answered in protobuf, JSON in JSON, and anything else in JSON."""
    error = errors.MalformedError("why")
    as_protobuf = http_answer(error, PROTOBUF)
    assert Status.FromString(as_protobuf.body).code == 3
    assert Status.FromString(as_protobuf.body).message == "why"
    assert (b"content-type", PROTOBUF.encode()) in as_protobuf.headers
    for content_type in (JSON, "text/plain", ""):
        answer = http_answer(error, content_type)
        said = json.loads(answer.body)
        assert (said["code"], said["message"]) == (3, "why")
        assert (b"content-type", JSON.encode()) in answer.headers


def test_bad_data_is_told_as_a_bad_request() -> None:
    """400 and INVALID_ARGUMENT carry a `BadRequest` with the reason; other statuses do not."""
    error = errors.MalformedError("why")
    told = BadRequest(field_violations=[{"field": "body", "description": "why"}])
    for status in (
        Status.FromString(http_answer(error, PROTOBUF).body),
        Status.FromString(dict(grpc_answer(error).trailers)["grpc-status-details-bin"]),
        ParseDict(json.loads(http_answer(error, JSON).body), Status()),
    ):
        found = BadRequest()
        assert status.details[0].Unpack(found)
        assert found == told
    assert grpc_answer(errors.TooLargeError("why")).trailers == ()
    assert not Status.FromString(http_answer(errors.UnsupportedMediaTypeError("why"), PROTOBUF).body).details


def test_success_is_an_empty_message() -> None:
    """Nothing at all in protobuf, an empty object in JSON."""
    for route in ROUTES:
        assert (http_success(route, PROTOBUF, None).body, http_success(route, JSON, None).body) == (b"", b"{}")
        assert grpc_success(route, None) == b""


@pytest.mark.parametrize("text", ["x", "ü", "\U0001f4a5", "\udc80"])
def test_a_message_stays_short(text: str) -> None:
    """However long an error's text, and in whatever script, the trailers stay below the 8 KiB that clients accept."""
    answer = grpc_answer(PermanentError(text * 10_000_000))
    assert 100 < len(answer.details) <= 500
    assert 3 * len(answer.details.encode()) + 2 * sum(len(value) for _, value in answer.trailers) < 6000
    assert len(http_answer(PermanentError(text * 10_000_000), JSON).body) < 10_000


def test_unforeseen_errors_become_retryable() -> None:
    """The two classes of error pass unchanged; whatever else there is becomes retryable, without its text."""
    known = [PermanentError("a"), RetryableError("b"), errors.TooLargeError("c")]
    assert [foreseen(error) for error in known] == known
    stranger = foreseen(KeyError("a secret"))
    assert isinstance(stranger, RetryableError)
    assert "secret" not in str(stranger)

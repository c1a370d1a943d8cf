"""What applications and clients do that is hard to record: one true span all the same, and nothing in their way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.instrumentation.apps.hostile_app import HUGE_CHARS
from tests.support.otlp_sink import Received, Sink
from tests.support.recorded_requests import Case, Recording, check, get, record
from tests.support.watched_app import watched

UNPRINTABLE = "hostile_app.UnprintableError"
LONG = "/items/" + "9" * 30_000
CASES = [
    get("/stream/broken", 200, "/stream/broken", error_type="ValueError", exception="ValueError"),
    get("/unprintable", 500, "/unprintable", error_type=UNPRINTABLE, exception=UNPRINTABLE),
    get("/huge", 500, "/huge", error_type="ValueError", exception="ValueError"),
    get("/silence", 500, None, error_type="500"),
    get(LONG, 200, "/items/{item_id}"),
]
WAYS = {"ours": "http", "standard": "http/dup"}


@pytest.fixture(scope="module", params=WAYS)
def recording(request: pytest.FixtureRequest, sink: Sink) -> Iterator[tuple[str, Recording]]:
    way = str(request.param)
    with watched("hostile_app", sink.urls["grpc"], OTEL_SEMCONV_STABILITY_OPT_IN=WAYS[way]) as app:
        yield way, record(app, sink, CASES)


@pytest.fixture(scope="module")
def ours(sink: Sink) -> Iterator[dict[str, Received]]:
    """The spans, by their paths."""
    with watched("hostile_app", sink.urls["grpc"]) as app:
        for case in CASES:
            app.request("GET", case.path)
        app.request("GET", "/cancelled")
        app.request("GET", "/items/hidden", host="x/health?")
        app.stop()
        yield {str(span.attributes["url.path"]): span for span in sink.spans(app.service)}


@pytest.mark.parametrize("path", ["/stream/broken", "/huge"])
def test_a_failure_is_seen_through_the_applications_middleware(recording: tuple[str, Recording], path: str) -> None:
    """Also of a stream that breaks off, which Starlette's middleware ends as if it were whole."""
    (case,) = (case for case in CASES if case.path == path)
    check(recording[1], case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path[:20])
def test_each_request_of_a_hostile_application_has_its_span(ours: dict[str, Received], case: Case) -> None:
    """An exception that has no text, one that is huge, no answer at all, and a path without end."""
    span = ours[case.path[:4096]]
    assert (span.name, span.route, span.status_code) == (case.name, case.route, case.status_code)
    assert span.attributes.get("error.type") == case.error_type
    assert [event.attributes["exception.type"] for event in span.events] == ([case.exception] if case.exception else [])


def test_a_cancelled_request_has_neither_an_answer_nor_a_failure(ours: dict[str, Received]) -> None:
    """Some servers cancel when the client is gone: that is not the model's fault."""
    span = ours["/cancelled"]
    assert (span.status_code, span.status, span.events) == (None, "UNSET", [])


def test_no_host_header_makes_a_probe_of_a_request(ours: dict[str, Received]) -> None:
    """Clients choose the header, and must not choose what is counted."""
    assert ours["/items/hidden"].name == "GET /items/{item_id}"


def test_a_span_stays_small_whatever_failed(ours: dict[str, Received]) -> None:
    """Thousands of spans wait in memory while the collector is away; the end of the stack trace is what is kept."""
    (event,) = ours["/huge"].events
    assert sum(len(str(value)) for value in event.attributes.values()) < HUGE_CHARS / 20
    assert "in huge" in event.attributes["exception.stacktrace"]
    assert event.attributes["exception.message"] == "x" * 1024

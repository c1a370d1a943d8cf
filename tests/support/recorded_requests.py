"""Requests to a watched application, each with the one span that it must leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.otlp_sink import Received, Sink
from tests.support.watched_app import WatchedApp


@dataclass(frozen=True)
class Case:
    """A request and the span it must leave."""

    path: str
    status_code: int
    name: str
    route: str | None
    method: str = "GET"
    error_type: str | None = None
    exception: str | None = None


@dataclass(frozen=True)
class Recording:
    """What an application sent in its whole life, which is over; the traces are those of the cases, by path."""

    spans: list[Received]
    traces: dict[str, str]
    answers: dict[str, int]

    def of(self, path: str) -> list[Received]:
        return [span for span in self.spans if span.trace_id == self.traces[path]]


def get(path: str, status_code: int, route: str | None, **more: str) -> Case:
    return Case(path, status_code, f"GET {route}" if route else "GET", route, **more)


def record(app: WatchedApp, sink: Sink, cases: Sequence[Case]) -> Recording:
    """Make each case's request once, end the application, and return everything it ever sent."""
    traces, answers = {}, {}
    for case in cases:
        traces[case.path], answers[case.path] = app.request(case.method, case.path)
    app.stop()
    return Recording(sink.spans(app.service), traces, answers)


def check(recording: Recording, case: Case) -> None:
    spans = recording.of(case.path)
    assert [span.kind for span in spans] == ["SERVER"], "one SERVER span, and no other"
    (span,) = spans
    assert recording.answers[case.path] in (case.status_code, 0)
    assert (span.name, span.route, span.status_code) == (case.name, case.route, case.status_code)
    assert span.attributes["http.request.method"] == case.method
    assert span.attributes.get("error.type") == case.error_type
    assert span.status == ("ERROR" if case.error_type else "UNSET")
    assert [event.attributes["exception.type"] for event in span.events] == ([case.exception] if case.exception else [])

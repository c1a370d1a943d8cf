"""The end of a process loses no span, and a span does not wait for it."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.support.otlp_sink import Sink
from tests.support.waiting import eventually
from tests.support.watched_app import NEVER_MS, watched


@pytest.mark.parametrize(("workers", "with_signal"), [(1, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)])
def test_no_span_is_lost_when_uvicorn_is_told_to_stop(sink: Sink, workers: int, with_signal: signal.Signals) -> None:
    """With an export delay that never comes, the flush delivers every batch, each worker's under an id of its own."""
    arguments = ("--workers", str(workers))
    with watched("plain_app", sink.urls["grpc"], "grpc", *arguments, OTEL_BSP_SCHEDULE_DELAY=NEVER_MS) as app:
        answers = app.answering_pids(workers=workers, least=150)
        app.stop(with_signal)
        spans = sink.spans(app.service)
    assert len(spans) == answers.total()
    by_instance = Counter(span.resource["service.instance.id"] for span in spans)
    assert sorted(by_instance.values()) == sorted(answers.values())


async def test_a_span_arrives_soon_without_any_flush(sink: Sink) -> None:
    """With the distro's defaults a request is exported about a second after its end."""
    with watched("plain_app", sink.urls["grpc"], None) as app:
        app.get("/")
        await eventually(lambda: sink.spans(app.service), timeout_s=5)

"""The end of a process loses no span and takes no longer than it may, whatever the collector does."""

from __future__ import annotations

import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.otlp_sink import Sink
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.watched_app import NEVER_MS, WatchedApp, watched

EXIT_BOUND_S = 6.0
"""Two seconds of telemetry and a busy machine's slack; without the bound the exporter alone takes ten."""


def answering_pids(app: WatchedApp, *, workers: int, least: int = 150) -> Counter[str]:
    """Make requests until every worker has answered one; return the number of answers by process id."""
    answers: Counter[str] = Counter()
    while answers.total() < least or len(answers) < workers:
        assert answers.total() < 2000, f"only {len(answers)} of {workers} workers answer"
        answers[app.get("/")] += 1
    return answers


@pytest.mark.parametrize(("workers", "with_signal"), [(1, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)])
def test_no_span_is_lost_when_uvicorn_is_told_to_stop(sink: Sink, workers: int, with_signal: signal.Signals) -> None:
    """With an export delay that never comes, the flush delivers every batch, each worker's under an id of its own."""
    arguments = ("--workers", str(workers))
    with watched("plain_app", sink.urls["grpc"], "grpc", *arguments, OTEL_BSP_SCHEDULE_DELAY=NEVER_MS) as app:
        answers = answering_pids(app, workers=workers)
        app.stop(with_signal)
        spans = sink.spans(app.service)
    assert len(spans) == answers.total()
    by_instance = Counter(span.resource["service.instance.id"] for span in spans)
    assert sorted(by_instance.values()) == sorted(answers.values())


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        is_over = threading.Event()
        connections: list[socket.socket] = []

        def accept() -> None:
            while not is_over.is_set():
                try:
                    connections.append(server.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        is_over.set()
        thread.join()
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(("protocol", "with_signal"), [("grpc", signal.SIGTERM), ("http/protobuf", signal.SIGINT)])
def test_without_a_collector_the_app_serves_and_ends_in_time(protocol: str, with_signal: signal.Signals) -> None:
    """Nothing listens at the endpoint: requests are answered, and the exit waits two seconds at most."""
    with watched("plain_app", f"http://127.0.0.1:{free_port()}", protocol) as app:
        assert [app.request("GET", "/")[1] for _ in range(20)] == [200] * 20
        assert app.stop(with_signal) < EXIT_BOUND_S


@pytest.mark.parametrize(("protocol", "with_signal"), [("grpc", signal.SIGINT), ("http/protobuf", signal.SIGTERM)])
def test_a_collector_that_hangs_does_not_hold_up_the_end(
    silent_endpoint: str, protocol: str, with_signal: signal.Signals
) -> None:
    """The export that waits for an answer is left behind when the time is up."""
    with watched("plain_app", silent_endpoint, protocol) as app:
        assert [app.request("GET", "/")[1] for _ in range(20)] == [200] * 20
        assert app.stop(with_signal) < EXIT_BOUND_S


def test_two_workers_without_a_collector_end_in_time() -> None:
    """The workers flush at the same time: their waits do not add up."""
    with watched("plain_app", f"http://127.0.0.1:{free_port()}", "grpc", "--workers", "2") as app:
        answering_pids(app, workers=2, least=1)
        assert app.stop() < EXIT_BOUND_S


async def test_a_span_arrives_soon_without_any_flush(sink: Sink) -> None:
    """With the distro's defaults a request is exported about a second after its end."""
    with watched("plain_app", sink.urls["grpc"], None) as app:
        app.get("/")
        await eventually(lambda: sink.spans(app.service), timeout_s=5)

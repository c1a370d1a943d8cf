"""Whatever the collector does, the model API serves, says so in one line, ends in time, and sends what it kept."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest

from tests.support import hostile_collectors as hostile
from tests.support.otlp_sink import Sink, running_sink
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.watched_app import WatchedApp, watched

EXIT_BOUND_S = 6.0
"""Two seconds of telemetry and a busy machine's slack; without the bound the exporter alone takes ten."""

Ill = Callable[[], AbstractContextManager[str]]
ILLS: dict[str, tuple[Ill, str, str]] = {
    "down, gRPC": (hostile.absent, "grpc", "UNAVAILABLE"),
    "down, HTTP": (hostile.absent, "http/protobuf", "refused"),
    "hanging, gRPC": (hostile.silent, "grpc", ""),
    "hanging, HTTP": (hostile.silent, "http/protobuf", "timed out"),
    "slow, gRPC": (partial(hostile.slow, 3.0), "grpc", ""),
    "refusing, HTTP": (hostile.refusing, "http/protobuf", "HTTP 401"),
    "unknown host, gRPC": (hostile.unknown, "grpc", "UNAVAILABLE"),
    "unknown host, HTTP": (hostile.unknown, "http/protobuf", "resol"),
}


def lines_about_export(app: WatchedApp) -> list[str]:
    return [line for line in app.log.splitlines() if "export" in line.lower()]


def assert_serves_and_ends(app: WatchedApp, with_signal: signal.Signals) -> None:
    assert [app.request("GET", "/")[1] for _ in range(150)] == [200] * 150
    assert app.stop(with_signal) < EXIT_BOUND_S
    assert "Traceback" not in app.log
    assert len(lines_about_export(app)) <= 1, app.log


@pytest.mark.parametrize("name", ILLS)
async def test_the_app_serves_on_and_says_so_in_one_line(name: str) -> None:
    """150 requests fill batch after batch, and there is one line at most, with the reason."""
    ill, protocol, reason = ILLS[name]
    with ill() as endpoint, watched("plain_app", endpoint, protocol, OTEL_EXPORTER_OTLP_TIMEOUT="1") as app:
        app.request("GET", "/")
        if reason:
            await eventually(partial(lines_about_export, app), timeout_s=30)
            assert reason in lines_about_export(app)[0]
        assert_serves_and_ends(app, signal.SIGTERM if protocol == "grpc" else signal.SIGINT)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_collector_that_does_not_speak_tls_is_told_in_one_line(sink: Sink, protocol: str) -> None:
    """An address with https for one without fails in the handshake, again and again."""
    with hostile.speaking_plainly(sink.urls[protocol]) as endpoint, watched("plain_app", endpoint, protocol) as app:
        app.request("GET", "/")
        await eventually(partial(lines_about_export, app), timeout_s=30)
        assert_serves_and_ends(app, signal.SIGTERM)
        assert sink.spans(app.service) == []
        assert "ssl_transport_security" not in app.log, "gRPC's core keeps quiet as well"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_what_the_queue_holds_outlasts_the_outage(protocol: str) -> None:
    """Spans of an outage arrive after it, once each; those that did not fit are counted in the line at its end."""
    port = free_port()
    queue_spans, batch_spans, requests = 40, 10, 100
    limits = {"OTEL_BSP_MAX_QUEUE_SIZE": str(queue_spans), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(batch_spans)}
    with watched("plain_app", f"http://127.0.0.1:{port}", protocol, **limits) as app:
        app.request("GET", "/")
        await eventually(partial(lines_about_export, app), timeout_s=30)
        traces = [app.request("GET", "/")[0] for _ in range(requests)]
        with running_sink(**{"grpc_port" if protocol == "grpc" else "http_port": port}) as sink:
            await eventually(lambda: len(sink.spans(app.service)) > queue_spans, timeout_s=30)
            app.stop()
            arrived, lines = [span.trace_id for span in sink.spans(app.service)], lines_about_export(app)
    assert len(arrived) == len(set(arrived)), "no span twice"
    assert set(traces[-queue_spans:]) <= set(arrived), "the newest stay"
    lost = requests + 1 - len(arrived)
    assert len(lines) == 2
    assert lines[-1].endswith(f"again; spans lost so far: {lost}")


def test_two_workers_without_a_collector_end_in_time() -> None:
    """The workers flush at the same time: their waits do not add up."""
    with watched("plain_app", f"http://127.0.0.1:{free_port()}", "grpc", "--workers", "2") as app:
        app.answering_pids(workers=2)
        assert app.stop() < EXIT_BOUND_S

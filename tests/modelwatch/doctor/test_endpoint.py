"""The endpoint of a server's environment, asked as the server would ask it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from modelwatch.doctor.endpoint import check_endpoint, headers_of, skew_findings
from modelwatch.doctor.finding import Finding
from otlp_receiver.component import build
from otlp_receiver.settings import ReceiverSettings
from telemetry import Counters
from tests.support.doubles import RecordingConsumer
from tests.support.ports import free_port

KEY = "a-key-of-the-test"


async def asked(url: str, protocol: str, **more: str) -> list[Finding]:
    return await check_endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **more})


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_receiver_that_runs_takes_spans_with_its_key(protocol: str) -> None:
    """ModelWatch's own receiver: fine with the key, named without it; nothing is delivered by asking."""
    from pydantic import SecretStr

    consumer = RecordingConsumer()
    receiver = build(ReceiverSettings(grpc_port=0, http_port=0), consumer, Counters(), [SecretStr(KEY)])
    await receiver.start()
    try:
        url = f"http://127.0.0.1:{receiver.grpc_port if protocol == 'grpc' else receiver.http_port}"
        (fine,) = await asked(url, protocol, OTEL_EXPORTER_OTLP_HEADERS=f"x-modelwatch-key={KEY}")
        (closed,) = await asked(url, protocol)
    finally:
        await receiver.stop()
    assert (fine.state, fine.text.split()[-2:]) == ("ok", ["takes", "spans"])
    assert (closed.state, "OTEL_EXPORTER_OTLP_HEADERS" in closed.text) == ("problem", True)
    assert sum(batch.item_count for batch in consumer.batches) == 0


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}", "http://user:hunter2@127.0.0.1:{port}", "http://nowhere.invalid:1"]
)
async def test_an_endpoint_that_is_not_there_is_named_with_its_remedy(protocol: str, url: str) -> None:
    """Nothing listens, or the name is unknown; a password in the address is not shown."""
    (finding,) = await asked(url.format(port=free_port()), protocol)
    assert finding.state == "problem"
    assert "set OTEL_EXPORTER_OTLP_ENDPOINT" in finding.text
    assert "hunter2" not in finding.text


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_an_endpoint_that_hangs_is_given_up_on(protocol: str) -> None:
    """It takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (finding,) = await asked(f"http://127.0.0.1:{silent.getsockname()[1]}", protocol)
    assert finding.state == "problem"


@contextmanager
def answering(status: int, date: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response_only(status)
            self.send_header("date", date)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_clock_that_is_wrong_at_the_endpoint_is_named() -> None:
    """By the date of its answer, also of one that refuses."""
    with answering(200, "Wed, 01 Jan 2020 00:00:00 GMT") as url:
        fine, skewed = await asked(url, "http/protobuf")
    with answering(404, "Wed, 01 Jan 2020 00:00:00 GMT") as url:
        wrong, also = await asked(url, "http/protobuf")
    assert (fine.state, skewed.state, wrong.state, also.state) == ("ok", "problem", "problem", "problem")
    assert "2020-01-01T00:00:00+00:00" in skewed.text
    assert "it answers 404" in wrong.text


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Thu, 01 Jan 1970 00:16:40 GMT", "Thu, 01 Jan 1970 00:16:37 GMT"]
)
def test_a_date_that_is_near_or_no_date_is_no_finding(date: str | None) -> None:
    """HTTP's dates are whole seconds, and not every server sends one."""
    assert list(skew_findings(date, 1000.0)) == []


def test_headers_are_read_as_the_exporter_reads_them() -> None:
    """Percent-encoded, small names; those for traces win."""
    assert headers_of({"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20x, a = b,broken"}) == {
        "authorization": "Bearer x",
        "a": "b",
    }
    assert headers_of({"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "c=d"}) == {"c": "d"}

"""The checks that the Collector's own OTLP receiver has to pass, asked of ours; docs/otlp.md tells where we differ."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from otlp_receiver.component import OtlpReceiver
from telemetry import Counters, PermanentError, RetryableError, StartError
from tests.otlp_conformance.raw_http import HttpConnection, exchange
from tests.otlp_conformance.samples import KINDS, TRACES, names_in, read
from tests.otlp_conformance.ways import JSON, PROTOBUF, GrpcWay, HttpWay, Way, read_reply, send
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.waiting import eventually

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"deflate": zlib.compress, "zstd": zstd.compress}


@pytest.fixture(params=[PROTOBUF, JSON], ids=["protobuf", "json"])
def content_type(request: pytest.FixtureRequest) -> str:
    """Each encoding in turn."""
    return str(request.param)


async def test_further_compressions_are_accepted(
    receiver: OtlpReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """Over HTTP deflate and zstd are understood beside gzip, whatever the case of their names."""
    way = HttpWay(receiver.http_port, content_type)
    for kind in KINDS:
        for encoding, compress in COMPRESS.items():
            for written in (encoding, encoding.upper()):
                body = compress(way.encode(kind.sample()))
                assert (await way.send_bytes(kind, body, {"content-encoding": written})).is_full_success
    assert [read(batch) for batch in consumer.batches] == [kind.sample() for kind in KINDS for _ in range(4)]


async def test_a_wrong_content_encoding_is_answered_in_the_type_of_the_request(
    receiver: OtlpReceiver, content_type: str
) -> None:
    """A body that is not compressed as its header says is 400, as a Status with the code of INVALID_ARGUMENT."""
    for encoding in ("gzip", "zstd", "deflate"):
        way = HttpWay(receiver.http_port, content_type)
        reply = await way.send_bytes(TRACES, b'{"key": "value"}', {"content-encoding": encoding})
        assert (reply.code, reply.status.code) == (400, 3)
        assert encoding in reply.message


async def test_without_a_content_type_the_answer_is_json(receiver: OtlpReceiver) -> None:
    """Even to a request whose encoding is not understood either, the Collector answers as text."""
    for headers in ({}, {"content-encoding": "invalid"}, {"content-type": "invalid"}):
        reply = await exchange(receiver.http_port, "POST", TRACES.path, headers, b'{"key": "value"}')
        assert read_reply(reply, TRACES, JSON).code == 415


async def test_a_number_is_no_request(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """`1234` is valid JSON, but no request: 400 for each signal."""
    for kind in KINDS:
        assert (await HttpWay(receiver.http_port, JSON).send_bytes(kind, b"1234")).code == 400
    assert consumer.batches == []


async def test_fifty_thousand_spans_fit_when_the_limit_allows(
    start_receiver: StartReceiver, consumer: GatedConsumer
) -> None:
    """Over gRPC, where they are 3 MiB, they are too large for a limit of 2 MiB and arrive whole with one of 8 MiB."""
    mib = 1024 * 1024
    body = TRACES.sample(50_000).SerializeToString()
    for limit, code in [(2 * mib, "RESOURCE_EXHAUSTED"), (8 * mib, "OK")]:
        receiver = await start_receiver(max_request_bytes=limit, max_in_flight_bytes=2 * limit)
        assert (await GrpcWay(receiver.grpc_port).send_bytes(TRACES, body)).code == code
    assert [(batch.item_count, batch.body) for batch in consumer.batches] == [(50_000, body)]


async def test_the_answers_follow_the_next_stage_and_are_counted(
    way: Way, way_name: str, consumer: GatedConsumer, counters: Counters
) -> None:
    """Taken, refused for now, rejected for good, taken: each is answered and counted as such."""
    steps = [None, RetryableError("not now"), PermanentError("never"), None]
    codes = ["OK", "UNAVAILABLE", "INVALID_ARGUMENT", "OK"] if way_name == "grpc" else [200, 503, 400, 200]
    for kind in KINDS:
        for error, code in zip(steps, codes, strict=True):
            consumer.errors = [error] if error is not None else []
            assert (await send(way, kind, kind.sample())).code == code
    assert len(consumer.batches) == 2 * len(KINDS)
    for name, amount in [("accepted", 4), ("refused", 2), ("rejected", 2)]:
        transport = way_name.partition("/")[0]
        for kind in KINDS:
            labels = (("signal", kind.signal.value), ("transport", transport))
            assert counters.snapshot()[f"receiver_{name}_items", labels] == amount  # type: ignore[index]


@pytest.mark.parametrize("setting", ["grpc_port", "http_port"])
async def test_a_taken_port_stops_the_start(start_receiver: StartReceiver, setting: str) -> None:
    """A port that somebody else listens on is one line that names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} .* MODELWATCH_RECEIVER__{setting.upper()}"):
            await start_receiver(**{setting: port})


async def test_a_missing_certificate_stops_the_start(start_receiver: StartReceiver, tmp_path: Path) -> None:
    """A certificate file that is not there is one line that names the setting, and nothing listens."""
    with pytest.raises(StartError, match="MODELWATCH_RECEIVER__TLS_CERT_FILE") as raised:
        await start_receiver(tls_cert_file=tmp_path / "absent.pem", tls_key_file=tmp_path / "absent.key")
    assert "\n" not in str(raised.value)


async def test_nothing_arrives_after_a_stop(way: Way, receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """While many send, a stop answers everybody; exactly what was answered with success arrived, and nothing later."""
    answered: list[str] = []

    async def keep_sending(sender: int) -> None:
        for at in range(10_000):
            prefix = f"{sender} {at}"
            try:
                reply = await send(way, TRACES, TRACES.sample(1, prefix))
            except (OSError, asyncio.IncompleteReadError):
                return
            if not reply.is_success:
                assert reply.is_retryable
                return
            answered.append(f"{prefix} 0")

    senders = [asyncio.create_task(keep_sending(sender)) for sender in range(4)]
    await eventually(lambda: len(answered) > 20)
    await receiver.stop()
    arrived = sorted(names_in(consumer.batches))
    await asyncio.gather(*senders)
    assert arrived == sorted(names_in(consumer.batches)) == sorted(answered)


async def test_a_http_request_in_flight_at_a_stop_is_answered(
    receiver: OtlpReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """What was taken is finished and answered; a request sent after it on the same connection is refused for now."""
    way = HttpWay(receiver.http_port, content_type)
    async with HttpConnection(receiver.http_port) as held, HttpConnection(receiver.http_port) as late:
        consumer.gate.clear()
        await held.send("POST", TRACES.path, {"content-type": content_type}, way.encode(TRACES.sample()))
        await eventually(lambda: consumer.waiting == 1)
        stopping = asyncio.create_task(receiver.stop())
        await eventually(lambda: _is_refused(way))
        await late.send("POST", TRACES.path, {"content-type": content_type}, way.encode(TRACES.sample()))
        refused = read_reply(await late.receive(), TRACES, content_type)
        assert (refused.code, refused.retry_after_s) == (503, 1)
        consumer.gate.set()
        assert read_reply(await held.receive(), TRACES, content_type).is_full_success
        await stopping
    assert len(consumer.batches) == 1


async def _is_refused(way: HttpWay) -> bool:
    return (await send(way, TRACES, TRACES.request())).code == 503

"""Small requests that stand for large or deep ones are refused for good, in little memory, while others are served."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import Callable

import psutil
import pytest

from otlp_receiver import pieces
from otlp_receiver.component import OtlpReceiver
from otlp_receiver.decompression import zstd
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import GrpcSender, HttpSender
from tests.support.wire import field

MIB = 1024 * 1024
LIMIT_BYTES = 16 * MIB
GOOD = trace_request(server_spans(3)).SerializeToString()
LONGEST_WAIT_S = 5.0

CODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


def nested_values(depth: int) -> bytes:
    """Return a request with an attribute of arrays in arrays."""
    value = b""
    for _ in range(depth):
        value = field(5, field(1, value))
    return field(1, field(2, field(2, field(9, field(1, b"key") + field(2, value)))))


# What a bomb is once it is decompressed, its content type, and the status that it gets.
BOMBS = {
    "zeros": (bytes(3 * LIMIT_BYTES), "x-protobuf", 413),
    "another gzip": (gzip.compress(bytes(8 * LIMIT_BYTES)), "x-protobuf", 400),
    "groups in groups": (b"\x0b" * (LIMIT_BYTES // 2) + b"\x0c" * (LIMIT_BYTES // 2), "x-protobuf", 400),
    "values in values": (nested_values(50_000), "x-protobuf", 400),
    "empty messages": (b"\x0a\0" * (LIMIT_BYTES // 2), "x-protobuf", 413),
    "arrays in arrays": (b"[" * LIMIT_BYTES, "json", 400),
    "ignored arrays in arrays": (b'{"a":' + b"[" * (LIMIT_BYTES - 5), "json", 400),
    "objects in objects": (b'{"resourceSpans":[' + b'{"a":' * (LIMIT_BYTES // 5 - 10), "json", 400),
    "one long number": (b'{"a":' + b"1" * (LIMIT_BYTES - 6) + b"}", "json", 400),
    "one long text": (b'{"a":"' + b"\\u0000" * (LIMIT_BYTES // 6 - 10) + b'"}', "json", 400),
}


@pytest.fixture(autouse=True)
def few_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be a bound that takes a moment instead of seconds to reach."""
    monkeypatch.setattr(pieces, "MAX_FIELDS", 100_000)


async def must_be_refused_quietly(receiver: OtlpReceiver, send: Callable[[], asyncio.Future[None]]) -> None:
    """Check that other requests are answered meanwhile, and how much memory is taken."""
    process, sender = psutil.Process(), HttpSender(receiver.http_port)
    before_bytes = peak_bytes = process.memory_info().rss
    sending = send()
    while not sending.done():
        began = time.monotonic()
        assert (await sender.send(GOOD)).is_success
        assert time.monotonic() - began < LONGEST_WAIT_S
        peak_bytes = max(peak_bytes, process.memory_info().rss)
        await asyncio.wait([sending], timeout=0.01)
    await sending
    assert peak_bytes - before_bytes < 8 * LIMIT_BYTES


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_over_http_is_refused_for_good(
    start_receiver: StartReceiver, consumer: GatedConsumer, bomb: str
) -> None:
    """In each of the codings; what is refused is the request, and nothing of it goes on."""
    receiver = await start_receiver(max_request_bytes=LIMIT_BYTES)
    plain, content_type, status = BOMBS[bomb]
    sender = HttpSender(receiver.http_port)
    for coding, coder in CODERS.items():
        sent = coder(plain)
        headers = {"content-type": f"application/{content_type}", "content-encoding": coding}

        async def send(sent: bytes = sent, headers: dict[str, str] = headers) -> None:
            answer = await sender.send(sent, headers)
            assert answer.code == status, answer.message

        await must_be_refused_quietly(receiver, lambda send=send: asyncio.ensure_future(send()))
    assert {batch.body for batch in consumer.batches} == {GOOD}


@pytest.mark.parametrize("bomb", [name for name, (_, content_type, _) in BOMBS.items() if content_type != "json"])
async def test_a_bomb_over_grpc_is_refused_for_good(
    start_receiver: StartReceiver, consumer: GatedConsumer, bomb: str
) -> None:
    """gRPC decompresses no more than the limit, and what it hands over is refused as over HTTP."""
    receiver = await start_receiver(max_request_bytes=LIMIT_BYTES)
    plain, _, status = BOMBS[bomb]
    code = {400: "INVALID_ARGUMENT", 413: "RESOURCE_EXHAUSTED"}[status]

    async def send() -> None:
        answer = await GrpcSender(receiver.grpc_port).send(plain, is_gzip=True)
        assert (answer.code, answer.retry_after_s) == (code, None)

    await must_be_refused_quietly(receiver, lambda: asyncio.ensure_future(send()))
    assert {batch.body for batch in consumer.batches} == {GOOD}


async def test_coding_upon_coding_is_not_undone(receiver: OtlpReceiver) -> None:
    """A list of codings, each of which would multiply the size, is not understood at all."""
    sent = gzip.compress(gzip.compress(GOOD))
    answer = await HttpSender(receiver.http_port).send(sent, {"content-encoding": "gzip, gzip"})
    assert answer.code == 415


async def test_a_window_that_takes_too_much_memory_is_refused(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """A zstd frame that asks for 128 MiB to remember, of which it needs little, is malformed over HTTP (RFC 9659)."""
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.compression_level: 1}
    compressor = zstd.ZstdCompressor(options=options)
    frame = compressor.compress(GOOD) + compressor.flush()
    answer = await HttpSender(receiver.http_port).send(frame, {"content-encoding": "zstd"})
    assert answer.code == 400
    assert consumer.batches == []

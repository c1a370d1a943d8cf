"""What connections may do: how many there are, how slow; over HTTP how large a head, and in what order answers come."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import grpc
import grpc.aio
import psutil
import pytest
from google.rpc.status_pb2 import Status
from pydantic import SecretStr

from otlp_receiver import http_connections
from otlp_receiver.component import OtlpReceiver
from otlp_receiver.http_connections import MAX_PIPELINED
from telemetry import Counters
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import EXPORT_TRACES, HttpSender
from tests.support.waiting import eventually

BODY = trace_request(server_spans(3)).SerializeToString()
HEAD = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
REQUEST = f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
MIB = 1024 * 1024


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A bare TCP connection to the receiver."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: str | bytes) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    async def response(self) -> Response:
        """Return the next response; raises `IncompleteReadError` if the connection ends before there is one."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        status_line, *lines = head.decode().split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Response(int(status_line.split()[1]), headers, body)

    def hang_up(self) -> None:
        self.writer.transport.abort()

    async def end(self) -> bytes:
        """Return what still comes until the receiver closes the connection."""
        return await asyncio.wait_for(self.reader.read(), 10)


Dial = Callable[[OtlpReceiver], Awaitable[Line]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Open connections, which end with the test."""
    lines: list[Line] = []

    async def dial(receiver: OtlpReceiver) -> Line:
        lines.append(Line(*await asyncio.open_connection("127.0.0.1", receiver.http_port)))
        return lines[-1]

    yield dial
    for line in lines:
        line.hang_up()


async def test_slow_heads_hold_up_nobody_and_are_cut_off(start_receiver: StartReceiver, dial: Dial) -> None:
    """While 200 senders dribble their heads others are served; each dribbler is told to be faster, and disconnected."""
    receiver = await start_receiver(header_timeout_s=1.0)
    lines = [await dial(receiver) for _ in range(200)]

    async def dribble(line: Line) -> Response:
        line.write("POST /v1/traces HTTP/1.1\r\n")
        while not line.reader.at_eof() and not line.reader._buffer:  # type: ignore[attr-defined]
            line.write("X-Slow: 1\r\n")
            await asyncio.sleep(0.2)
        return await line.response()

    dribbling = [asyncio.create_task(dribble(line)) for line in lines]
    sender = HttpSender(receiver.http_port)
    for _ in range(10):
        assert (await asyncio.wait_for(sender.send(BODY), 5)).is_success
    for response in await asyncio.gather(*dribbling):
        assert (response.status, response.headers["retry-after"]) == (503, "1")
    for line in lines:
        assert await line.end() == b""


@pytest.mark.parametrize("sent", ["", "\r\n", "\r\n\r\n\r\n"])
async def test_a_connection_without_a_request_is_closed(start_receiver: StartReceiver, dial: Dial, sent: str) -> None:
    """Who sends nothing, or nothing but empty lines, is disconnected without a word."""
    line = await dial(await start_receiver(header_timeout_s=0.2))
    line.write(sent)
    assert await line.end() == b""


async def test_a_second_head_has_its_own_time(start_receiver: StartReceiver, dial: Dial) -> None:
    """On a connection that was used before, a head that begins and does not end is cut off as well."""
    line = await dial(await start_receiver(header_timeout_s=0.2))
    line.write(REQUEST)
    assert (await line.response()).status == 200
    line.write("POST /v1/tr")
    assert (await line.response()).status == 503
    assert await line.end() == b""


async def test_idle_connections_stay_within_keep_alive(start_receiver: StartReceiver, dial: Dial) -> None:
    """The time for a head does not count between requests; empty lines do not prolong what `keep_alive_s` allows."""
    line = await dial(await start_receiver(header_timeout_s=0.3, keep_alive_s=1))
    line.write(REQUEST)
    assert (await line.response()).status == 200
    await asyncio.sleep(0.6)
    line.write(REQUEST)
    assert (await line.response()).status == 200
    line.write("\r\n")
    assert await line.end() == b""


async def test_more_connections_than_the_bound_are_refused_at_once(
    start_receiver: StartReceiver, dial: Dial, counters: Counters
) -> None:
    """One too many gets a retryable answer, unasked, and is closed; when one of the others goes, there is room."""
    receiver = await start_receiver(max_connections=3)
    lines = [await dial(receiver) for _ in range(3)]
    for line in lines:
        line.write(REQUEST)
        assert (await line.response()).status == 200
    refused = await dial(receiver)
    response = await refused.response()
    assert (response.status, response.headers["retry-after"], response.headers["connection"]) == (503, "1", "close")
    assert await refused.end() == b""
    assert counters.total("receiver_refused_connections") == 1
    lines[0].hang_up()
    refused.hang_up()

    async def is_taken() -> bool:
        line = await dial(receiver)
        line.write(REQUEST)
        return (await line.response()).status == 200

    await eventually(is_taken)
    lines[1].write(REQUEST)
    assert (await lines[1].response()).status == 200


async def test_a_flood_of_connections_is_cut_short(start_receiver: StartReceiver, dial: Dial) -> None:
    """Once as many are being refused as may be open, the others get no answer; those that are open are served."""
    receiver = await start_receiver(max_connections=5)
    kept = [await dial(receiver) for _ in range(5)]
    flood = [await dial(receiver) for _ in range(100)]
    ends = await asyncio.gather(*(line.end() for line in flood), return_exceptions=True)
    assert sum(isinstance(end, bytes) and end.startswith(b"HTTP/1.1 503") for end in ends) >= 5
    for line in kept:
        line.write(REQUEST)
        assert (await line.response()).status == 200


async def test_a_thousand_idle_connections_are_cheap(start_receiver: StartReceiver, dial: Dial) -> None:
    """A thousand connections that have sent a request and stay cost less than 64 KiB each, and others are served."""
    receiver = await start_receiver(max_connections=1100)
    sender = HttpSender(receiver.http_port)
    assert (await sender.send(BODY)).is_success
    gc.collect()
    before = psutil.Process(os.getpid()).memory_info().rss
    lines = [await dial(receiver) for _ in range(1000)]
    for line in lines:
        line.write(REQUEST)
    for line in lines:
        assert (await line.response()).status == 200
    used = psutil.Process(os.getpid()).memory_info().rss - before
    assert used < 1000 * 64 * 1024, "of both ends of each connection"
    assert (await sender.send(BODY)).is_success


@pytest.mark.parametrize(
    "head",
    [
        HEAD + "X-Large: " + "x" * 100_000,
        HEAD + "x" * 100_000,
        "POST /" + "x" * 100_000,
        HEAD + "".join(f"X-{at}: x\r\n" for at in range(20_000)),
        HEAD + "X-Large: " + "x" * 100_000 + f"\r\nContent-Length: {len(BODY)}\r\n\r\n",
    ],
    ids=["value", "name", "path", "many", "complete"],
)
@pytest.mark.parametrize("piece", [1000, 1_000_000])
async def test_a_large_head_is_refused(
    start_receiver: StartReceiver, dial: Dial, consumer: GatedConsumer, head: str, piece: int
) -> None:
    """Whatever of it is large, and however it comes in, the answer is 431 with a Status; nothing is taken."""
    receiver = await start_receiver()
    line = await dial(receiver)
    for start in range(0, len(head), piece):
        line.write(head[start : start + piece])
        await asyncio.sleep(0)
    response = await line.response()
    assert (response.status, response.headers["connection"]) == (431, "close")
    assert "headers are larger" in Status.FromString(response.body).message if head.startswith(HEAD) else True
    assert await line.end() == b""
    assert consumer.batches == []
    assert (await HttpSender(receiver.http_port).send(BODY)).is_success


async def test_headers_of_the_allowed_size_pass(start_receiver: StartReceiver, dial: Dial) -> None:
    """A head just below the bound is taken, in one piece and in many."""
    line = await dial(await start_receiver(max_header_bytes=20_000))
    request = REQUEST.replace(b"Host: x\r\n", b"Host: x\r\nX-Large: " + b"x" * 19_500 + b"\r\n")
    for piece in (len(request), 700):
        for start in range(0, len(request), piece):
            line.write(request[start : start + piece])
            await asyncio.sleep(0)
        assert (await line.response()).status == 200


ENDLESS = {
    "trailer": b"0\r\nX-Trailer: ",
    "chunk extension": b"1;x=",
}


@pytest.mark.parametrize("beginning", ENDLESS.values(), ids=ENDLESS)
async def test_what_never_ends_after_the_head_is_cut_off(
    start_receiver: StartReceiver, dial: Dial, consumer: GatedConsumer, beginning: bytes
) -> None:
    """A trailer or a chunk extension without end is refused once it is larger than a head may be."""
    line = await dial(await start_receiver())
    line.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n")
    line.write(beginning + b"x" * MIB)
    assert (await line.response()).status == 431
    assert await line.end() == b""
    assert consumer.batches == []


async def test_many_trailers_are_cut_off(start_receiver: StartReceiver, dial: Dial, consumer: GatedConsumer) -> None:
    """Trailers are not kept, and their number is bounded by their size."""
    line = await dial(await start_receiver())
    line.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n")
    line.write(b"".join(b"X-%d: x\r\n" % at for at in range(20_000)))
    assert (await line.response()).status == 431
    assert consumer.batches == []


async def test_a_trailer_cannot_bring_a_key(start_receiver: StartReceiver, dial: Dial) -> None:
    """Headers that come after the body change nothing."""
    line = await dial(await start_receiver(ingest_keys=(SecretStr("the-key"),)))
    line.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\nX-ModelWatch-Key: the-key\r\n\r\n")
    assert (await line.response()).status == 401


async def test_an_endless_chunked_body_is_answered_and_cut_off(
    start_receiver: StartReceiver, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size limit ends it with 413; who goes on sending is heard out for a while only, and nothing of it is kept."""
    monkeypatch.setattr(http_connections, "LINGER_S", 0.5)
    receiver = await start_receiver(max_request_bytes=MIB)
    line = await dial(receiver)
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    line.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n")

    async def send_for_ever() -> None:
        while True:
            line.write(chunk)
            await line.writer.drain()

    sending = asyncio.create_task(send_for_ever())
    assert (await line.response()).status == 413
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(sending, 10)


async def test_a_body_that_ends_soon_after_the_answer_keeps_the_connection(
    start_receiver: StartReceiver, dial: Dial
) -> None:
    """A sender that reads the answer only after its whole body gets it, and may go on with the next request."""
    line = await dial(await start_receiver(max_request_bytes=MIB))
    line.write(f"{HEAD}Content-Length: {3 * MIB}\r\n\r\n".encode() + bytes(3 * MIB))
    await line.writer.drain()
    assert (await line.response()).status == 413
    line.write(REQUEST)
    assert (await line.response()).status == 200


async def test_pipelined_requests_are_answered_in_order(
    start_receiver: StartReceiver, dial: Dial, consumer: GatedConsumer
) -> None:
    """Requests sent without waiting are taken one by one, each with its own answer, in one piece or in many."""
    line = await dial(await start_receiver())
    paths = ["/v1/traces", "/nowhere"] * 5
    requests = b"".join(REQUEST.replace(b"/v1/traces", path.encode()) for path in paths)
    for piece in (len(requests), 97):
        for start in range(0, len(requests), piece):
            line.write(requests[start : start + piece])
            await asyncio.sleep(0)
        assert [(await line.response()).status for _ in paths] == [200, 404] * 5
    assert [batch.body for batch in consumer.batches] == [BODY] * 10


async def test_a_long_pipeline_is_answered_as_far_as_it_is_read(start_receiver: StartReceiver, dial: Dial) -> None:
    """Of a thousand requests at once the first are answered, in order; then the connection is closed, and no more."""
    line = await dial(await start_receiver())
    line.write(REQUEST * 1000)
    answers = (await line.end()).count(b"HTTP/1.1 200 OK")
    assert 1 <= answers <= 1 + MAX_PIPELINED


async def test_an_error_does_not_overtake_an_answer(
    start_receiver: StartReceiver, dial: Dial, consumer: GatedConsumer
) -> None:
    """What follows a request and is none does not get its answer in before: the request's own comes, then the end."""
    receiver = await start_receiver()
    for rubbish in (
        b"\x16\x03\x01",
        b"POST / HTTP/9.9\r\n\r\n",
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz".encode(),
    ):
        consumer.gate.clear()
        line = await dial(receiver)
        line.write(REQUEST + rubbish)
        await eventually(lambda: consumer.waiting == 1)
        consumer.gate.set()
        assert (await line.response()).status == 200
        assert await line.end() == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / SPDY/1\r\n\r\n",
        b"POST http:// HTTP/1.1\r\n\r\n",
        f"{HEAD}Content-Length: -1\r\n\r\n".encode(),
        f"{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
        f"{HEAD}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".encode(),
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n".encode(),
    ],
    ids=["tls", "http/2", "spdy", "no host", "negative", "both lengths", "two lengths", "bad chunk"],
)
async def test_what_is_no_request_is_malformed(start_receiver: StartReceiver, dial: Dial, sent: bytes) -> None:
    """It gets 400 with a Status, like every other error, and the connection ends."""
    line = await dial(await start_receiver())
    line.write(sent)
    response = await line.response()
    assert (response.status, response.headers["connection"]) == (400, "close")
    assert response.headers["content-type"] in ("application/json", "application/x-protobuf")
    assert response.body
    assert await line.end() == b""


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("step", [1, 10_000], ids=["byte by byte", "at once"])
@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_an_offer_of_another_protocol_is_declined(
    start_receiver: StartReceiver, dial: Dial, consumer: GatedConsumer, protocol: str, step: int, is_chunked: bool
) -> None:
    """A client that offers to change to HTTP/2, as Java's does, is answered in HTTP/1.1, and its body is taken."""
    offer = f"{HEAD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n".encode()
    if is_chunked:
        offering = offer + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"
    else:
        offering = offer + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    line = await dial(await start_receiver())
    sent = offering + REQUEST + offering
    for start in range(0, len(sent), step):
        line.write(sent[start : start + step])
        await asyncio.sleep(0)
    assert [(await line.response()).status for _ in range(3)] == [200, 200, 200]
    assert [batch.body for batch in consumer.batches] == [BODY] * 3


async def test_an_offer_does_not_widen_the_limits(start_receiver: StartReceiver, dial: Dial) -> None:
    """Nor does it keep a connection open that its sender wants closed, or a tunnel from being refused."""
    receiver = await start_receiver(max_header_bytes=1024)
    offer = "Connection: Upgrade, close\r\nUpgrade: h2c\r\n"
    expected = {f"{HEAD}{offer}X: {'x' * 1000}\r\n\r\n": 431, f"{HEAD}{offer}\r\n": 200}
    for sent, status in (expected | {f"CONNECT a:1 HTTP/1.1\r\n{offer}\r\n": 400}).items():
        line = await dial(receiver)
        line.write(sent)
        assert (await line.response()).status == status
        assert await line.end() == b""


async def test_a_sender_that_has_closed_its_side_is_answered(
    start_receiver: StartReceiver, dial: Dial, consumer: GatedConsumer
) -> None:
    """Half a connection is enough for the answer; after it the other half is closed too."""
    consumer.gate.clear()
    line = await dial(await start_receiver())
    line.write(REQUEST)
    line.writer.write_eof()
    await eventually(lambda: consumer.waiting == 1)
    consumer.gate.set()
    assert (await line.response()).status == 200
    assert await line.end() == b""


@pytest.mark.parametrize("sent", [b"POST /v1/tr", REQUEST[:-1]], ids=["head", "body"])
async def test_half_a_request_and_half_a_connection_are_nothing(
    start_receiver: StartReceiver, dial: Dial, consumer: GatedConsumer, sent: bytes
) -> None:
    """A sender that closes its side in the middle of a request is disconnected, and nothing of it is taken."""
    line = await dial(await start_receiver())
    line.write(sent)
    line.writer.write_eof()
    assert await line.end() == b""
    assert consumer.batches == []


async def test_a_sender_that_does_not_read_is_disconnected(
    start_receiver: StartReceiver, dial: Dial, counters: Counters
) -> None:
    """Answers that are not taken pile up only so far: after a while the connection ends, and its memory is free."""
    receiver = await start_receiver(header_timeout_s=0.5, max_connections=1)
    line = await dial(receiver)
    line.writer.transport.pause_reading()
    request = b"GET /" + b"x" * 10 + b" HTTP/1.1\r\nHost: x\r\n\r\n"

    async def send_for_ever() -> None:
        while True:
            line.write(request * 10)
            await line.writer.drain()
            await asyncio.sleep(0)

    sending = asyncio.create_task(send_for_ever())
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(sending, 30)
    assert (await HttpSender(receiver.http_port).send(BODY)).is_success


async def test_grpc_connections_are_bounded_too(start_receiver: StartReceiver) -> None:
    """One too many is refused with UNAVAILABLE, which senders repeat; when another goes, there is room."""
    receiver = await start_receiver(max_connections=2)
    channels = [grpc_channel(receiver) for _ in range(3)]
    codes = [await channel.unary_unary(EXPORT_TRACES)(BODY, timeout=5).code() for channel in channels]
    assert codes == [grpc.StatusCode.OK, grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE]
    await channels[0].close()

    async def is_taken() -> bool:
        async with grpc_channel(receiver) as channel:
            return await channel.unary_unary(EXPORT_TRACES)(BODY, timeout=5).code() is grpc.StatusCode.OK

    await eventually(is_taken)
    for channel in channels[1:]:
        await channel.close()


def grpc_channel(receiver: OtlpReceiver) -> grpc.aio.Channel:
    """Return a channel with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(f"127.0.0.1:{receiver.grpc_port}", options=options)


@pytest.mark.parametrize("sent", [b"", b"PRI * HTTP/2.0\r\n"])
async def test_a_grpc_connection_without_a_handshake_is_closed(start_receiver: StartReceiver, sent: bytes) -> None:
    """Who connects and does not begin to speak HTTP/2 is disconnected after `header_timeout_s`."""
    receiver = await start_receiver(header_timeout_s=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.grpc_port)
    writer.write(sent)
    await asyncio.wait_for(reader.read(), 10)
    writer.transport.abort()

"""What is particular to OTLP/HTTP: methods, paths, headers, encodings, and requests that come in slowly."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from google.rpc.status_pb2 import Status

from otlp_receiver.component import OtlpReceiver
from telemetry import Counters, RetryableError
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import JSON, PROTOBUF, HttpSender, http_answer
from tests.support.waiting import eventually

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = trace_request(server_spans(3)).SerializeToString()


@pytest.fixture
async def client(receiver: OtlpReceiver) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{receiver.http_port}") as client:
        yield client


async def post(client: httpx.AsyncClient, body: bytes = BODY, **headers: str) -> httpx.Response:
    named = {"content-type": PROTOBUF} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/traces", content=body, headers=named)


async def test_other_paths_are_not_found(client: httpx.AsyncClient) -> None:
    """Only the paths of the signals that are taken exist; the answer names them."""
    for path in ("/", "/v1/profiles", "/v1development/profiles", "/v1/TRACES", "/v1/traces/", "//v1/traces"):
        url = str(client.base_url).rstrip("/") + path
        answer = http_answer(await client.post(url, content=BODY, headers={"content-type": PROTOBUF}))
        assert answer.code == 404, path
        assert "/v1/traces, /v1/metrics, /v1/logs" in answer.message


async def test_other_methods_are_not_allowed(client: httpx.AsyncClient) -> None:
    """Anything but POST is answered with 405, which names POST."""
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
        response = await client.request(method, "/v1/traces", headers={"content-type": PROTOBUF})
        assert http_answer(response).code == 405, method
        assert response.headers["allow"] == "POST"


async def test_content_types_are_compared_as_http_asks(client: httpx.AsyncClient) -> None:
    """Neither case nor parameters matter; the answer has the bare type."""
    for content_type in ("application/x-protobuf; charset=utf-8", "APPLICATION/X-PROTOBUF"):
        response = await post(client, content_type=content_type)
        assert response.status_code == 200
        assert response.headers["content-type"] == PROTOBUF


async def test_other_content_types_are_not_supported(client: httpx.AsyncClient, consumer: GatedConsumer) -> None:
    """A type that is not understood, or none at all, gets 415, as a Status in JSON."""
    for content_type in ("text/json", "text/plain", "", "application/x-protobuf2", None):
        headers = {} if content_type is None else {"content-type": content_type}
        response = await client.post("/v1/traces", content=BODY, headers=headers)
        assert response.status_code == 415, content_type
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.content)["code"] == 3
    assert consumer.batches == []


async def test_other_content_encodings_are_not_supported(client: httpx.AsyncClient) -> None:
    """An encoding that is not understood gets 415, which says what is."""
    for encoding in ("br", "snappy", "gzip, gzip", "rot13"):
        response = await post(client, content_encoding=encoding)
        assert http_answer(response).code == 415, encoding
        assert response.headers["accept-encoding"] == "gzip, deflate, zstd"


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("identity", BODY),
        ("gzip", gzip.compress(BODY)),
        ("X-GZIP", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-zlib.MAX_WBITS)),
        ("zstd", zstd.compress(BODY)),
        ("zstd", zstd.compress(BODY[:100]) + zstd.compress(BODY[100:])),
    ],
)
async def test_every_encoding_arrives_as_the_same_bytes(
    client: httpx.AsyncClient, consumer: GatedConsumer, encoding: str, encoded: bytes
) -> None:
    """Encodings that SDKs and Collectors use, and the two forms of deflate, are decompressed."""
    assert (await post(client, encoded, content_encoding=encoding)).status_code == 200
    assert [batch.body for batch in consumer.batches] == [BODY]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
async def test_what_is_not_in_its_encoding_is_malformed(
    client: httpx.AsyncClient, consumer: GatedConsumer, encoding: str, content_type: str
) -> None:
    """A body that its encoding does not fit gets 400 in the type of the request, with the reason."""
    response = await post(client, BODY, content_encoding=encoding, content_type=content_type)
    answer = http_answer(response)
    assert (answer.code, encoding in answer.message) == (400, True)
    assert response.headers["content-type"] == content_type
    assert consumer.batches == []


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)]
)
async def test_every_encoding_is_limited(
    start_receiver: StartReceiver, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    """What becomes too large by decompression gets 413, however small it was sent; exactly the limit passes."""
    receiver = await start_receiver(max_request_bytes=len(BODY))
    sender = HttpSender(receiver.http_port)
    headers = {"content-encoding": encoding}
    assert (await sender.send(compress(BODY), headers)).is_success
    assert (await sender.send(compress(BODY + b"\0"), headers)).code == 413
    assert (await sender.send(compress(bytes(30_000_000))[: len(BODY)], headers)).code == 413


async def test_two_gzip_members_are_one_request(client: httpx.AsyncClient, consumer: GatedConsumer) -> None:
    """A body of several gzip members is taken whole, not only its first part."""
    two = gzip.compress(BODY[:100]) + gzip.compress(BODY[100:])
    assert (await post(client, two, content_encoding="GZIP")).status_code == 200
    assert [batch.body for batch in consumer.batches] == [BODY]


@pytest.mark.parametrize("cut", [1, 8, 40])
async def test_a_truncated_gzip_is_malformed(client: httpx.AsyncClient, consumer: GatedConsumer, cut: int) -> None:
    """A gzip without its end gets 400, although what can be read of it might parse."""
    answer = http_answer(await post(client, gzip.compress(BODY)[:-cut], content_encoding="gzip"))
    assert (answer.code, "gzip" in answer.message) == (400, True)
    assert consumer.batches == []


async def test_what_only_claims_to_be_gzip_is_malformed(client: httpx.AsyncClient) -> None:
    """A plain body under `Content-Encoding: gzip` gets 400."""
    assert http_answer(await post(client, BODY, content_encoding="gzip")).code == 400


async def test_a_chunked_body_is_limited_as_it_comes_in(start_receiver: StartReceiver) -> None:
    """Without a Content-Length the size is counted chunk by chunk: the answer is there while the body still comes."""
    receiver = await start_receiver(max_request_bytes=100_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.http_port)
    writer.write(request_head(transfer_encoding="chunked"))
    for _ in range(11):
        writer.write(b"2710\r\n" + bytes(10_000) + b"\r\n")
    assert await asyncio.wait_for(read_status(reader), 5) == 413
    writer.close()


async def test_chunks_are_joined(client: httpx.AsyncClient, consumer: GatedConsumer) -> None:
    """A chunked body is one request."""

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(BODY), 7):
            yield BODY[at : at + 7]

    response = await client.post("/v1/traces", content=chunks(), headers={"content-type": PROTOBUF})
    assert response.status_code == 200
    assert [batch.body for batch in consumer.batches] == [BODY]


async def test_a_connection_serves_one_request_after_another(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """Successes, refusals and rejections, unread bodies among them, leave a keep-alive connection usable."""
    consumer.errors = [RetryableError("later")]
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.http_port)
    statuses = []
    for content_type, body in [
        (PROTOBUF, BODY),
        ("text/plain", bytes(500_000)),
        (PROTOBUF, b"\xff"),
        (PROTOBUF, BODY),
    ]:
        writer.write(request_head(content_type=content_type, content_length=str(len(body))) + body)
        statuses.append(await read_status(reader))
    writer.close()
    assert statuses == [503, 415, 400, 200]


async def test_a_body_too_large_by_its_header_is_not_waited_for(receiver: OtlpReceiver) -> None:
    """A Content-Length over the limit is answered before the first byte of the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.http_port)
    writer.write(request_head(content_length="999999999", expect="100-continue"))
    assert await asyncio.wait_for(read_status(reader), 5) == 413
    writer.close()


async def test_a_sender_that_stalls_loses_its_place(start_receiver: StartReceiver, counters: Counters) -> None:
    """A body that is not complete in time is refused, as retryable, and its room is free again."""
    receiver = await start_receiver(read_timeout_s=0.2, max_in_flight_requests=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.http_port)
    writer.write(
        f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 9\r\n\r\nab".encode()
    )
    assert await asyncio.wait_for(read_status(reader), 5) == 503
    writer.close()
    assert (await HttpSender(receiver.http_port).send(BODY)).is_success
    assert counters.total("receiver_refused_requests") == 1


async def test_a_sender_that_hangs_up_loses_its_place(start_receiver: StartReceiver, counters: Counters) -> None:
    """A connection that closes in the middle of a body leaves nothing behind."""
    receiver = await start_receiver(max_in_flight_requests=1)
    _, writer = await asyncio.open_connection("127.0.0.1", receiver.http_port)
    writer.write(
        f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 9\r\n\r\nab".encode()
    )
    await writer.drain()
    writer.close()
    await eventually(lambda: counters.total("receiver_refused_requests") == 1)
    assert (await HttpSender(receiver.http_port).send(BODY)).is_success


def request_head(content_type: str = PROTOBUF, **headers: str) -> bytes:
    """Return everything of a request but its body."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(
        ["POST /v1/traces HTTP/1.1", "host: x", f"content-type: {content_type}", *lines, "", ""]
    ).encode()


async def read_status(reader: asyncio.StreamReader) -> int:
    """Read one response, check that its body is a Status unless it is a success, and return the HTTP status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split()[1])
    headers = dict(line.lower().split(": ") for line in head.splitlines()[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    if status != 200:
        is_protobuf = headers["content-type"] == PROTOBUF
        assert Status.FromString(body).message if is_protobuf else json.loads(body)["message"]
    return status

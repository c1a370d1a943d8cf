"""Requirements 34 to 46 of docs/otlp.md: which requests OTLP/HTTP takes, and the form of its answers."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from google.rpc.error_details_pb2 import BadRequest
from pydantic import SecretStr

from otlp_receiver.component import OtlpReceiver
from otlp_receiver.settings import ReceiverSettings
from telemetry import PermanentError, RetryableError
from tests.otlp_conformance.raw_http import HttpConnection, HttpReply, exchange
from tests.otlp_conformance.samples import KINDS, LOGS, METRICS, TRACES, names_in, read
from tests.otlp_conformance.ways import JSON, PROTOBUF, HttpWay, read_reply, send
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver

NAMES = ["item 0", "item 1"]
MALFORMED = b"\xff\xff\xff"
ENCODINGS = {"gzip", "deflate", "zstd"}


@pytest.fixture(params=[PROTOBUF, JSON], ids=["protobuf", "json"])
def content_type(request: pytest.FixtureRequest) -> str:
    """Each encoding in turn."""
    return str(request.param)


@pytest.fixture
async def http_way(receiver: OtlpReceiver, content_type: str) -> HttpWay:
    return HttpWay(receiver.http_port, content_type)


async def test_r34_each_signal_has_its_default_address(http_way: HttpWay, consumer: GatedConsumer) -> None:
    """The three stable signals are served under their default paths, on 4318 without a setting."""
    for kind, path in [(TRACES, "/v1/traces"), (METRICS, "/v1/metrics"), (LOGS, "/v1/logs")]:
        assert kind.path == path
        assert (await send(http_way, kind, kind.sample())).is_full_success
    assert [batch.signal for batch in consumer.batches] == [kind.signal for kind in KINDS]
    assert ReceiverSettings().http_port == 4318


async def test_r35_other_paths_are_not_found(http_way: HttpWay, content_type: str, consumer: GatedConsumer) -> None:
    """Whatever is sent to any other path is 404, which clients do not repeat, and is not taken."""
    body = http_way.encode(TRACES.sample())
    for path in ("/", "/v1/trace", "/v1/traces/", "//v1/traces", "/V1/TRACES", "/v1development/profiles", "/v1/../x"):
        reply = await _post(http_way.port, content_type, body, path=path)
        assert read_reply(reply, TRACES, content_type).code == 404, path
    assert consumer.batches == []


async def test_r36_a_connection_is_kept_alive(http_way: HttpWay, content_type: str, consumer: GatedConsumer) -> None:
    """One HTTP/1.1 connection carries request after request, refused ones among them, and requests sent ahead."""
    async with HttpConnection(http_way.port) as connection:
        headers = {"content-type": content_type}
        for kind in KINDS:
            await connection.send("POST", kind.path, headers, http_way.encode(kind.sample()))
            assert (await connection.receive()).status == 200
            await connection.send("POST", kind.path, headers, MALFORMED)
            assert (await connection.receive()).status == 400
        for kind in KINDS:
            await connection.send("POST", kind.path, headers, http_way.encode(kind.sample()))
        assert [(await connection.receive()).status for _ in KINDS] == [200, 200, 200]
    async with HttpConnection(http_way.port) as connection:
        await connection.send("POST", "/v1/logs", {**headers, "connection": "close"}, http_way.encode(LOGS.sample()))
        assert (await connection.receive()).status == 200
        assert await connection.read_to_the_end() == b""
    assert len(consumer.batches) == 7


async def test_r37_both_encodings_share_the_port(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """Protobuf and JSON on one connection are told apart by their content type, and hold the same."""
    async with HttpConnection(receiver.http_port) as connection:
        for kind in KINDS:
            for content_type in (PROTOBUF, JSON):
                body = HttpWay(receiver.http_port, content_type).encode(kind.sample())
                await connection.send("POST", kind.path, {"content-type": content_type}, body)
                assert read_reply(await connection.receive(), kind, content_type).is_full_success
    assert [read(batch) for batch in consumer.batches] == [kind.sample() for kind in KINDS for _ in range(2)]
    assert [batch.batch_id for batch in consumer.batches[::2]] == [batch.batch_id for batch in consumer.batches[1::2]]


async def test_r38_the_content_type_may_have_parameters_and_any_case(
    http_way: HttpWay, content_type: str, consumer: GatedConsumer
) -> None:
    """A charset, blanks and capitals do not keep a request from being understood."""
    writings = (f"{content_type}; charset=utf-8", content_type.upper(), f'{content_type.title()} ;charset="UTF-8"')
    for kind in KINDS:
        for written in writings:
            reply = await _post(http_way.port, written, http_way.encode(kind.sample()), path=kind.path)
            assert read_reply(reply, kind, content_type).is_full_success
    assert len(consumer.batches) == len(KINDS) * len(writings)


async def test_r39_other_content_types_and_methods_are_refused(
    receiver: OtlpReceiver, content_type: str, consumer: GatedConsumer
) -> None:
    """A missing or unknown content type is 415, another method than POST 405, both with a Status as JSON if need be."""
    port = receiver.http_port
    for kind in KINDS:
        body = HttpWay(port, content_type).encode(kind.sample())
        for other in (
            "",
            "text/plain",
            "application/protobuf",
            "application/json-patch+json",
            "application/x-protobuf2",
        ):
            assert read_reply(await _post(port, other, body, path=kind.path), kind, JSON).code == 415
        assert read_reply(await exchange(port, "POST", kind.path, {}, body), kind, JSON).code == 415
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
            reply = await exchange(port, method, kind.path, {"content-type": content_type}, body)
            assert read_reply(reply, kind, content_type).code == 405
            assert reply.headers["allow"] == "POST"
    assert consumer.batches == []


async def _provoke(start_receiver: StartReceiver, consumer: GatedConsumer, content_type: str) -> list[HttpReply]:
    """Return answers of every kind that a sender of this content type can get."""
    receiver = await start_receiver(
        ingest_keys=(SecretStr("the-key"),), max_request_bytes=5_000, max_in_flight_bytes=10_000
    )
    port, key = receiver.http_port, {"x-modelwatch-key": "the-key"}
    way = HttpWay(port, content_type)
    body = way.encode(TRACES.sample())
    replies = [
        await _post(port, content_type, body, key),
        await _post(port, content_type, body, {}),
        await _post(port, content_type, MALFORMED, key),
        await _post(port, content_type, way.encode(TRACES.sample(200)), key),
        await _post(port, content_type, b"no gzip", {**key, "content-encoding": "gzip"}),
        await _post(port, content_type, body, {**key, "content-encoding": "compress"}),
        await _post(port, content_type, body, key, path="/v1/nothing"),
        await _post(port, content_type, body, key, method="PUT"),
    ]
    for error in (PermanentError("never"), RetryableError("not now"), ValueError("a defect")):
        consumer.errors = [error]
        replies.append(await _post(port, content_type, body, key))
    assert [reply.status for reply in replies] == [200, 401, 400, 413, 400, 415, 404, 405, 400, 503, 503]
    return replies


async def test_r40_the_answer_has_the_content_type_of_the_request(
    start_receiver: StartReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """Success, rejection and refusal of every kind are answered in the encoding of the request."""
    for reply in await _provoke(start_receiver, consumer, content_type):
        assert reply.content_type == content_type, reply.status


async def test_r41_every_failure_is_a_status(
    start_receiver: StartReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """The body of every 4xx and 5xx is a `google.rpc.Status` with a message, and no insides of ours in it."""
    for reply in (await _provoke(start_receiver, consumer, content_type))[1:]:
        status = read_reply(reply, TRACES, content_type).status
        assert status.message
        assert "defect" not in status.message
        assert "Traceback" not in status.message


async def test_r42_a_success_is_200_with_the_response_message(http_way: HttpWay, consumer: GatedConsumer) -> None:
    """Success is 200 with an `Export…ServiceResponse` of the signal, and only once the next stage has the data."""
    for kind in KINDS:
        consumer.gate.clear()
        sending = asyncio.create_task(send(http_way, kind, kind.sample()))
        done, _ = await asyncio.wait([sending], timeout=0.05)
        assert not done
        consumer.gate.set()
        reply = await sending
        assert reply.code == 200
        assert isinstance(reply.response, kind.response)


async def test_r43_bad_data_is_400_with_a_bad_request(http_way: HttpWay, consumer: GatedConsumer) -> None:
    """What cannot be decoded is 400, with a BadRequest in the Status's details and no invitation to repeat."""
    for kind in KINDS:
        whole = http_way.encode(kind.sample())
        for malformed in (MALFORMED, whole[:-1], whole + b"\x07", b"<html>"):
            reply = await http_way.send_bytes(kind, malformed)
            assert reply.code == 400
            assert reply.detail(BadRequest).field_violations[0].description
        consumer.errors = [PermanentError("the data is at fault")]
        reply = await send(http_way, kind, kind.sample())
        assert (reply.code, reply.message) == (400, "the data is at fault")
    assert consumer.batches == []


async def test_r44_a_corrupt_or_unknown_encoding_is_refused_for_good(
    http_way: HttpWay, consumer: GatedConsumer
) -> None:
    """A body that is not what its encoding says is 400; an encoding that nobody understands 415 with those we do."""
    for kind in KINDS:
        body = http_way.encode(kind.sample())
        for encoding in ENCODINGS:
            for corrupt in (body, b"", b"\x00" * 50):
                assert (await http_way.send_bytes(kind, corrupt, {"content-encoding": encoding})).code == 400
        for unknown in ("br", "snappy", "gzip2", "gzip, gzip"):
            reply = await http_way.send_bytes(kind, body, {"content-encoding": unknown})
            assert reply.code == 415
            assert {one.strip() for one in reply.headers["accept-encoding"].split(",")} >= ENCODINGS
        for cut in (-1, -8, 10):
            truncated = gzip.compress(body)[:cut]
            assert (await http_way.send_bytes(kind, truncated, {"content-encoding": "gzip"})).code == 400
    assert consumer.batches == []


async def test_r45_an_oversized_request_is_413(
    start_receiver: StartReceiver, content_type: str, consumer: GatedConsumer
) -> None:
    """Above the limit, declared or not, compressed or not, the answer is 413, which clients do not repeat."""
    receiver = await start_receiver(max_request_bytes=5_000, max_in_flight_bytes=20_000)
    way = HttpWay(receiver.http_port, content_type)
    for kind in KINDS:
        body = way.encode(kind.sample(300))
        for is_gzip in (False, True):
            reply = await way.send_bytes(kind, body, is_gzip=is_gzip)
            assert (reply.code, reply.retry_after_s) == (413, None)
        declared = {"content-type": content_type, "content-length": str(10**15)}
        async with HttpConnection(receiver.http_port) as connection:
            await connection.send("POST", kind.path, declared)
            assert read_reply(await connection.receive(), kind, content_type).code == 413
    assert consumer.batches == []


async def test_r46_the_limit_counts_streamed_bytes(
    start_receiver: StartReceiver, content_type: str, consumer: GatedConsumer
) -> None:
    """Chunked bodies, as JavaScript's exporters send them, are taken up to the limit and end in 413 above it."""
    receiver = await start_receiver(max_request_bytes=50_000, max_in_flight_bytes=200_000)
    way = HttpWay(receiver.http_port, content_type)
    headers = {"content-type": content_type}
    for kind in KINDS:
        body = way.encode(kind.sample())
        async with HttpConnection(receiver.http_port) as connection:
            thirds = [body[at : at + len(body) // 3] for at in range(0, len(body), len(body) // 3)]
            await connection.send_chunked("POST", kind.path, headers, thirds)
            assert read_reply(await connection.receive(), kind, content_type).is_full_success
        async with HttpConnection(receiver.http_port) as connection:
            await connection.send_chunked("POST", kind.path, headers, [b" " * 10_000] * 6)
            assert read_reply(await connection.receive(), kind, content_type).code == 413
    assert names_in(consumer.batches) == NAMES * 3


async def _post(
    port: int,
    content_type: str,
    body: bytes,
    headers: dict[str, str] | None = None,
    *,
    path: str = TRACES.path,
    method: str = "POST",
) -> HttpReply:
    return await exchange(port, method, path, {"content-type": content_type, **(headers or {})}, body)

"""Whatever is sent to either port, it is answered as the protocol says or hung up on, and the next request is served.

Each test sends hundreds of requests to one receiver. After each, nothing may be left in flight and what was handed on
must be a valid request with as many items as were counted; `watched` looks after the log and the memory.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import grpc
import grpc.aio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otlp_receiver.signals import ROUTES, TRACES, SignalRoute
from tests.fuzz.conftest import Watched
from tests.fuzz.damage import damaged
from tests.fuzz.harnesses.decompression import CODERS
from tests.fuzz.reference import judged
from tests.fuzz.shapes import bodies_of, texts_of
from tests.support.frames import exchange, grpc_frames, grpc_status, statuses

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
"""How many times the usual number of examples is tried."""


def fuzz(max_examples: int) -> settings:
    return settings(
        deadline=None,
        max_examples=TIMES * max_examples,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


SEEDS = st.integers(0, 2**32)
BOMB = bytes(20 * 1024 * 1024)
BOMBS = {coding: coder(BOMB) for coding, coder in CODERS.items()}

HTTP_ANSWERS = {200, 400, 404, 405, 413, 415, 431, 503}
OF_MESSAGES = {
    code.value[0]
    for code in (
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,  # a compression that gRPC does not have
    )
}
"""What is answered to a message, whatever is in it."""


@pytest.fixture
async def channel(watched: Watched) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_metadata_size", 64 * 1024)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{watched.grpc_port}", options=options) as opened:
        yield opened


async def post(
    watched: Watched,
    path: str,
    body: bytes,
    content_type: str = "application/x-protobuf",
    coding: str = "",
) -> int:
    """Send one request and return the status of its one answer."""
    lines = [f"POST {path} HTTP/1.1", "host: receiver", f"content-type: {content_type}", "connection: close"]
    lines += [f"content-length: {len(body)}", *([f"content-encoding: {coding}"] if coding else [])]
    answer = await exchange(watched.http_port, "\r\n".join([*lines, "\r\n"]).encode() + body)
    [status] = statuses(answer)
    return status


async def code_of(call: Any, **options: Any) -> grpc.StatusCode:
    try:
        await call(timeout=20, **options)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def must_still_serve(watched: Watched) -> None:
    """Send a good request over HTTP, and check what is left behind."""
    assert await post(watched, TRACES.http_path, bodies_of(TRACES)[0]) == 200
    await watched.settle()


def damaged_body(route: SignalRoute, random: Random) -> bytes:
    bodies = bodies_of(route)
    body = random.choice(bodies)
    return (
        random.randbytes(random.randrange(300))
        if random.random() < 0.05
        else damaged(body, random, random.choice(bodies))
    )


@fuzz(300)
@given(seed=SEEDS, route=st.sampled_from(ROUTES))
async def test_damaged_protobuf_is_judged_the_same_by_both_ports(
    watched: Watched, channel: grpc.aio.Channel, seed: int, route: SignalRoute
) -> None:
    """Valid is what the generated class can parse; all else is malformed, and never answered with anything third."""
    body = damaged_body(route, Random(seed))
    is_valid = judged(route, body) is not None
    assert await post(watched, route.http_path, body) == (200 if is_valid else 400)
    code = await code_of(channel.unary_unary(route.grpc_method), request=body)
    assert code is (grpc.StatusCode.OK if is_valid else grpc.StatusCode.INVALID_ARGUMENT)
    await watched.settle()


JSON_PARTS = [
    "null",
    "true",
    "{}",
    "[]",
    "[{}]",
    '""',
    "1",
    "-1",
    "1.5",
    "1e999",
    '"zz"',
    '"\\ud800"',
    "{",
    "]",
    ",",
    '"',
]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceSpans", "scopeSpans", "spans", "attributes", "key"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def damaged_text(route: SignalRoute, random: Random) -> bytes:
    text = random.choice(texts_of(route)).decode()
    for _ in range(random.randint(1, 3)):
        start = random.choice([at for at, one in enumerate(text) if one in ':,[{"'])
        text = text[: start + 1] + random.choice(JSON_PARTS) + text[start + 1 + random.choice([0, 0, 1, 2, 4, 10]) :]
    return damaged(text.encode(), random, text.encode()) if random.random() < 0.3 else text.encode()


@fuzz(250)
@given(seed=SEEDS, route=st.sampled_from(ROUTES), value=ANY_JSON)
async def test_any_json_is_taken_or_malformed(watched: Watched, seed: int, route: SignalRoute, value: object) -> None:
    """Damaged requests, and JSON that never was one, are answered with 200 or 400."""
    for text in (damaged_text(route, Random(seed)), json.dumps(value).encode()):
        assert await post(watched, route.http_path, text, "application/json") in (200, 400)
    await must_still_serve(watched)


def damaged_coding(coder: Callable[[bytes], bytes], body: bytes, random: Random) -> bytes:
    """Return a body in parts, compressed each, and then perhaps cut, spliced or followed by something else."""
    cut = random.randrange(len(body) + 1)
    whole = random.choice([coder(body), coder(body[:cut]) + coder(body[cut:]), coder(body) + coder(b"")])
    return random.choice([whole, whole[: random.randrange(len(whole))], whole + b"\0", damaged(whole, random, whole)])


@fuzz(250)
@given(seed=SEEDS, route=st.sampled_from(ROUTES), kind=st.sampled_from(sorted(CODERS)))
async def test_any_compressed_body_is_taken_or_refused_for_good(
    watched: Watched, seed: int, route: SignalRoute, kind: str
) -> None:
    """Several members, cut, damaged, of another coding than declared, bombs: 200, 400 or 413."""
    random = Random(seed)
    is_json = random.random() < 0.3
    content_type = "application/json" if is_json else "application/x-protobuf"
    plain = random.choice((texts_of if is_json else bodies_of)(route))
    sent = BOMBS[kind] if random.random() < 0.05 else damaged_coding(CODERS[kind], plain, random)
    declared = random.choice(sorted(CODERS)) if random.random() < 0.2 else kind
    status = await post(watched, route.http_path, sent, content_type, declared.removeprefix("raw "))
    assert status in (200, 400, 413)
    assert sent is not BOMBS[kind] or status != 200
    await must_still_serve(watched)


@fuzz(15)
@given(seeds=st.lists(SEEDS, min_size=1, max_size=8), route=st.sampled_from(ROUTES))
async def test_any_compressed_call_is_taken_or_refused_for_good(
    watched: Watched, seeds: list[int], route: SignalRoute
) -> None:
    """gRPC decompresses, and answers INTERNAL to what is corrupt or declared as nothing it knows; nobody else does."""

    async def send(random: Random) -> None:
        kind = random.choice(["gzip", "deflate"])
        message = damaged_coding(CODERS[kind], damaged_body(route, random), random)
        message = BOMBS[kind] if random.random() < 0.05 else message
        declared = random.choice([kind, kind, kind, kind, "identity", "zstd", "gzip,deflate", ""])
        is_compressed = random.random() < 0.9
        encoding = {b"grpc-encoding": declared.encode()}
        frames = grpc_frames(route.grpc_method, message, is_compressed=is_compressed, metadata=encoding)
        status = await grpc_status(watched.grpc_port, frames)
        is_of_core = is_compressed or declared not in ("gzip", "deflate", "identity")
        assert status in OF_MESSAGES | ({grpc.StatusCode.INTERNAL.value[0]} if is_of_core else set())

    await asyncio.gather(*(send(Random(seed)) for seed in seeds))
    await must_still_serve(watched)


HEADER_NAMES = st.sampled_from(
    [
        "content-type",
        "content-encoding",
        "content-length",
        "transfer-encoding",
        "expect",
        "connection",
        "upgrade",
        "te",
        "host",
        "cookie",
        "authorization",
        "x-modelwatch-key",
        "accept-encoding",
        "x-" + "y" * 300,
    ]
)
TYPES = ["application/json", "application/x-protobuf", "application/JSON;charset=x", "text/html", "application/grpc"]
ENCODINGS = ["gzip", "zstd", "identity", "gzip,gzip", "br", "chunked", "gzip,chunked", "chunked,chunked"]
LENGTHS = ["0", "-1", "+5", "5,5", "1e3", "0x10", "99999999999999999999"]
OTHER_VALUES = ["100-continue", "close", "keep-alive, upgrade", "h2c", "websocket", "Bearer", "Bearer ", "", " ", "é"]
HEADER_VALUES = st.sampled_from(TYPES + ENCODINGS + LENGTHS + OTHER_VALUES) | st.text(
    st.characters(max_codepoint=255), max_size=30
)
METHODS = st.sampled_from(
    ["POST", "POST", "POST", "GET", "PUT", "OPTIONS", "DELETE", "CONNECT", "post", "P\x00ST", "PRI"]
)
PATHS = st.sampled_from(
    [
        "/v1/traces",
        "/v1/metrics",
        "/v1/logs",
        "/",
        "*",
        "/v1/traces/",
        "//v1/traces",
        "/v1/traces?x=1",
        "/v1/traces#x",
        "/v1/%74races",
        "/%zz",
        "/é",
        "receiver:80",
        "http://receiver/v1/traces",
        "/" + "x" * 5000,
        "/v1/tra ces",
        "",
    ]
)


@fuzz(300)
@given(
    method=METHODS,
    path=PATHS,
    headers=st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=6),
    version=st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "http/1.1", ""]),
    seed=SEEDS,
)
async def test_any_head_is_answered_as_the_protocol_says(
    watched: Watched, method: str, path: str, headers: list[tuple[str, str]], version: str, seed: int
) -> None:
    """Methods, paths, versions, and headers of any name and value, several times and at odds with the body."""
    body = damaged_body(TRACES, Random(seed))
    if seed % 2:
        headers = [*headers, ("content-type", "application/x-protobuf"), ("content-length", str(len(body)))]
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers)]
    answer = await exchange(watched.http_port, "\r\n".join([*lines, "\r\n"]).encode("latin-1", "replace") + body)
    assert set(statuses(answer)) <= HTTP_ANSWERS | {100}
    await must_still_serve(watched)


METADATA_KEYS = st.sampled_from(
    ["authorization", "x-modelwatch-key", "grpc-timeout-x", "user-agent-x", "x", "y-bin", "grpc-trace-bin", "cookie"]
)
METADATA = st.lists(st.tuples(METADATA_KEYS, st.binary(max_size=40)), max_size=8)


@fuzz(150)
@given(metadata=METADATA, route=st.sampled_from(ROUTES), seed=SEEDS)
async def test_any_metadata_is_taken(
    watched: Watched, channel: grpc.aio.Channel, metadata: list[tuple[str, bytes]], route: SignalRoute, seed: int
) -> None:
    """Whatever stands beside a good message, several times and in bytes that are no text, it is taken."""
    pairs = [
        (key, value if key.endswith("-bin") else "".join(chr(0x20 + byte % 0x5F) for byte in value))
        for key, value in metadata
    ]
    compression = Random(seed).choice(list(grpc.Compression))
    call = channel.unary_unary(route.grpc_method)
    code = await code_of(call, request=bodies_of(route)[0], metadata=pairs, compression=compression)
    assert code is grpc.StatusCode.OK
    await watched.settle()


CALL_HEADERS = (
    b":method :path :scheme :authority content-type te grpc-timeout grpc-encoding grpc-accept-encoding authorization "
    b"x-bin Upper connection"
).split()
CALL_VALUES = (
    b"POST GET PUT / http application/grpc+proto text/html 0n 1S 99999999999H -1S gzip snappy identity trailers !!! \0 "
    b"\xff\xff"
).split()
CALL_METADATA = st.dictionaries(
    st.sampled_from([*CALL_HEADERS, b""]),
    st.sampled_from([*CALL_VALUES, b""]) | st.binary(max_size=20),
    max_size=4,
)


@fuzz(15)
@given(several=st.lists(CALL_METADATA, min_size=1, max_size=16), seed=SEEDS)
async def test_any_head_of_a_call_is_answered_or_hung_up_on(
    watched: Watched, several: list[dict[bytes, bytes]], seed: int
) -> None:
    """Pseudo headers and gRPC's own with any values: none of it makes the handler fail, which would be UNKNOWN."""
    body = damaged_body(TRACES, Random(seed))
    calls = [grpc_frames(TRACES.grpc_method, body, is_compressed=False, metadata=metadata) for metadata in several]
    # Several at a time, because gRPC's core waits a tenth of a second before it ends a call that is none.
    answers = await asyncio.gather(*(grpc_status(watched.grpc_port, frames) for frames in calls))
    assert grpc.StatusCode.UNKNOWN.value[0] not in answers
    await must_still_serve(watched)


def stream_of(random: Random, port_kind: str) -> bytes:
    """Return what a sender of the kind writes over a connection: one request, or several one after the other."""
    streams = []
    for _ in range(random.choice([1, 1, 2, 20])):
        route = random.choice(ROUTES)
        body = random.choice(bodies_of(route))
        if port_kind == "grpc":
            streams.append(grpc_frames(route.grpc_method, body, is_compressed=False, metadata={}))
        else:
            head = f"POST {route.http_path} HTTP/1.1\r\nhost: receiver\r\ncontent-type: application/x-protobuf\r\n"
            if random.random() < 0.5:
                streams.append(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            else:
                chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
                streams.append(f"{head}transfer-encoding: chunked\r\n\r\n".encode() + chunked)
    return b"".join(streams)


@pytest.mark.parametrize("sent_to", ["grpc", "http"])
@fuzz(200)
@given(seed=SEEDS)
async def test_any_bytes_are_answered_or_hung_up_on(watched: Watched, sent_to: str, seed: int) -> None:
    """Streams of either protocol after any damage, and bytes that never were one, to either port."""
    random = Random(seed)
    stream = stream_of(random, random.choice(["grpc", "http", sent_to, sent_to]))
    data = random.choice(
        [
            lambda: damaged(stream, random, stream),
            lambda: damaged(stream, random, stream),
            lambda: stream[: random.randrange(len(stream))],
            lambda: random.randbytes(random.randrange(2000)),
        ]
    )()
    answer = await exchange(watched.grpc_port if sent_to == "grpc" else watched.http_port, data)
    if sent_to == "http":
        assert set(statuses(answer)) <= HTTP_ANSWERS
    await must_still_serve(watched)

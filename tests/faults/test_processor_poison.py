"""Poison among good messages: it is set aside alone, with its reason, and nobody's healthy message with it."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue

from tests.support.deliveries import dead_letters, deliveries
from tests.support.fault_rig import Rig
from tests.support.otlp import server_span, trace_request
from tests.support.waiting import eventually

UNREADABLE = [
    b"\xff\xff\xff\xff",
    trace_request([server_span()]).SerializeToString()[:-3],
    bytes(1_000),
    b"\x0a\x05hello",
    b"\x0d\x01\x02\x03\x04" * 10 + b"\x0a",
]
"""Bytes, a request that is cut off, zeros, something else, and fields of other types: each of another length."""
NO_TEXT = AnyValue(string_value="abcdefghijklmno")


def nested(depth: int) -> AnyValue:
    value = AnyValue(string_value="deep")
    for _ in range(depth):
        value = AnyValue(array_value=ArrayValue(values=[value]))
    return value


STRANGE = [
    AnyValue(string_value="a\0b"),
    AnyValue(double_value=float("nan")),
    AnyValue(double_value=float("-inf")),
    AnyValue(int_value=2**63 - 1),
    AnyValue(string_value="x" * 2**20),
    AnyValue(bytes_value=bytes(range(256))),
    nested(40),
    AnyValue(),
    NO_TEXT,
]
KEYS = ["strange", "ml.model.name", "http.request.method", "url.path", "a" * 100_000, "nul\0nul"]


def with_attribute(body: bytes, key: str, value: AnyValue) -> bytes:
    """Return a request one of whose spans says this as well; of `NO_TEXT` the bytes are made no UTF-8."""
    request = ExportTraceServiceRequest.FromString(body)
    request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key=key, value=value)
    return request.SerializeToString().replace(NO_TEXT.string_value.encode(), b"\xff\xfe\xed\xa0\x80" * 3)


async def test_poison_is_buried_alone_and_its_neighbours_count(rig: Rig, chance: random.Random) -> None:
    """F11: bytes that nobody can read are dead letters, each with its reason; strange values are stored like others."""
    account = deliveries(rig)
    account.make(40)
    for key in KEYS:
        for value in STRANGE:
            body = account.make(1).pop()
            account.bodies[-1] = with_attribute(body, key, value)
    messages = [*account.bodies, *UNREADABLE]
    before = await poisoned(rig)
    chance.shuffle(messages)
    await account.publish(messages)
    await account.close(letters=len(UNREADABLE))
    assert await poisoned(rig) - before == len(UNREADABLE)
    listed = [json.loads(line) for line in (await dead_letters(rig, "list", json=True)).splitlines()]
    assert all("not an OTLP" in letter["reason"] for letter in listed), listed
    assert {letter["body_bytes"] for letter in listed} == {len(body) for body in UNREADABLE}


async def test_poison_that_is_replayed_is_back_and_hurts_nobody(rig: Rig) -> None:
    """F11: `replay` of what still cannot be read ends where it began; `drop` ends it for good."""
    account = deliveries(rig)
    before = await poisoned(rig)
    await account.publish([*account.make(10), *UNREADABLE, *account.make(10)])
    await account.close(letters=len(UNREADABLE))
    assert f"{len(UNREADABLE)} sent again" in await dead_letters(rig, "replay", all=True)
    await eventually(lambda: is_poisoned(rig, before + 2 * len(UNREADABLE)))
    await account.close(letters=len(UNREADABLE))
    assert f"{len(UNREADABLE)} dropped" in await dead_letters(rig, "drop", all=True)
    await account.close()


async def is_poisoned(rig: Rig, count: int) -> bool:
    return await poisoned(rig) == count


async def poisoned(rig: Rig) -> int:
    """Return how many messages the processors have set aside."""
    names = [name for name in rig.processors.roles if name.startswith("processor")]
    return sum([await rig.figure(name, "rabbit_source_dead_lettered_batches") for name in names])


@pytest.fixture(autouse=True)
async def no_letters_left(rig: Rig) -> AsyncIterator[None]:
    """Other tests insist that there are none."""
    yield
    await dead_letters(rig, "drop", all=True)

"""Requests that are too large for the next stage: cut into parts that lose nothing and stand on their own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_receiver.component import OtlpReceiver
from otlp_receiver.errors import TooLargeError
from otlp_receiver.splitting import split
from telemetry import Counters, PermanentError, RetryableError
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.otlp import merged_request, resource, server_span, server_spans
from tests.support.otlp_senders import Sender, sender_of

PART_BYTES = 64 * 1024


def large_request(services: int = 3, spans: int = 400) -> ExportTraceServiceRequest:
    request = merged_request(
        (resource(f"shop-{number}"), server_spans(spans, attributes={"padding": "x" * 200, "n": number}))
        for number in range(services)
    )
    for resource_spans in request.resource_spans:
        resource_spans.schema_url = "https://example.com/resource"
        resource_spans.scope_spans[0].schema_url = "https://example.com/scope"
    return request


def spans_by_place(requests: list[bytes]) -> list[tuple[bytes, bytes, str, str, bytes]]:
    """Each span with everything that stands around it, in order."""
    return [
        (
            of.resource.SerializeToString(deterministic=True),
            within.scope.SerializeToString(deterministic=True),
            of.schema_url,
            within.schema_url,
            span.SerializeToString(deterministic=True),
        )
        for raw in requests
        for of in ExportTraceServiceRequest.FromString(raw).resource_spans
        for within in of.scope_spans
        for span in within.spans
    ]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 400)), max_size=8),
    st.integers(1_500, 20_000),
)
def test_parts_hold_every_item_once_in_order_with_its_resource_and_scope(
    groups: list[tuple[int, int, int]], max_bytes: int
) -> None:
    """Whatever the request, every part is within the limit, and the same request is always cut the same way."""
    request = merged_request(
        (resource(f"shop-{number}"), server_spans(count, attributes={"padding": "x" * padding}))
        for number, count, padding in groups
    ).SerializeToString()
    parts = split(request, max_bytes)
    assert spans_by_place(parts) == spans_by_place([request])
    assert all(len(part) <= max_bytes for part in parts)
    assert parts == split(request, max_bytes)


def test_an_item_that_fits_nowhere_is_refused() -> None:
    """It is never cut, and nothing of its request is handed on."""
    request = merged_request([(resource("shop"), [server_span(attributes={"padding": "x" * 5_000})])])
    with pytest.raises(TooLargeError, match="single item"):
        split(request.SerializeToString(), 4_000)


@pytest.fixture
async def receiver(start_receiver: StartReceiver) -> OtlpReceiver:
    return await start_receiver(max_batch_bytes=PART_BYTES)


async def test_a_large_request_is_handed_on_in_parts_and_counted_whole(
    sender: Sender, consumer: GatedConsumer, counters: Counters
) -> None:
    """One answer for all parts; each part counts its own items."""
    request = large_request().SerializeToString()
    answer = await sender.send(request)
    assert answer.is_success
    assert len(consumer.batches) > 3
    assert all(len(batch.body) <= PART_BYTES for batch in consumer.batches)
    assert Counter(spans_by_place([batch.body for batch in consumer.batches])) == Counter(spans_by_place([request]))
    assert [batch.item_count for batch in consumer.batches] == [
        len(spans_by_place([batch.body])) for batch in consumer.batches
    ]
    assert counters.total("receiver_accepted_items") == 1_200


@pytest.mark.parametrize("error", [RetryableError("not now"), PermanentError("never")])
async def test_a_part_that_fails_fails_the_request(
    sender: Sender, consumer: GatedConsumer, counters: Counters, error: Any
) -> None:
    """The sender repeats it or not as that part says, and the same parts have the same ids when it does."""
    request = large_request().SerializeToString()
    consumer.errors.append(error)
    refused = await sender.send(request)
    assert not refused.is_success
    assert refused.is_retryable is isinstance(error, RetryableError)
    assert counters.total("receiver_accepted_items") == 0
    first = {batch.batch_id for batch in consumer.batches}
    assert (await sender.send(request)).is_success
    assert first < {batch.batch_id for batch in consumer.batches}
    assert len({batch.batch_id for batch in consumer.batches}) == len(consumer.batches) - len(first)


async def test_both_transports_cut_alike(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """What was sent over one and is sent again over the other has the same ids."""
    request = large_request().SerializeToString()
    for transport in ("grpc", "http"):
        assert (await sender_of(transport, receiver).send(request)).is_success
    assert all(count == 2 for count in Counter(batch.batch_id for batch in consumer.batches).values())

"""Requirements 55 to 68 of docs/otlp.md: OTLP/JSON, which is nearly, but not quite, protobuf's own JSON.

Depth and text are tested of binary protobuf, too.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otlp_receiver.component import OtlpReceiver
from telemetry import Batch
from tests.otlp_conformance.items import half_invalid
from tests.otlp_conformance.samples import KINDS, LOGS, METRICS, TRACES, Kind, metrics_in, read, span
from tests.otlp_conformance.ways import JSON, HttpWay, Reply, send, to_json, way_of
from tests.otlp_receiver.conftest import GatedConsumer
from tests.support.otlp import END_NS

TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
LARGEST_UINT64 = 2**64 - 1


@pytest.fixture
async def way(receiver: OtlpReceiver) -> HttpWay:
    return HttpWay(receiver.http_port, JSON)


def span_json(**members: Any) -> dict[str, Any]:
    """Return a request with one valid span and these members in addition."""
    span = {"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "one", "endTimeUnixNano": str(END_NS), **members}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def record_json(**members: Any) -> dict[str, Any]:
    record = {"timeUnixNano": str(END_NS), "severityNumber": 9, **members}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def point_json(**members: Any) -> dict[str, Any]:
    point = {"timeUnixNano": str(END_NS), **members}
    metric = {"name": "load", "gauge": {"dataPoints": [point]}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


def histogram_json(**members: Any) -> dict[str, Any]:
    point = {"timeUnixNano": str(END_NS), **members}
    metric = {"name": "load", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


def attribute_json(value: Any) -> dict[str, Any]:
    return span_json(attributes=[{"key": "key", "value": value}])


async def post(way: HttpWay, kind: Kind, request: Any) -> Reply:
    """Send JSON, or text that stands for it, as it is."""
    text = request if isinstance(request, str) else json.dumps(request)
    return await way.send_bytes(kind, text.encode())


async def refused(way: HttpWay, kind: Kind, *requests: Any) -> None:
    """Insist that each of the requests is 400 and costs the connection nothing."""
    for request in requests:
        reply = await post(way, kind, request)
        assert reply.code == 400, request
        assert (await post(way, kind, {})).is_full_success


def span_of(batch: Batch) -> Span:
    found: Span = read(batch).resource_spans[0].scope_spans[0].spans[0]
    return found


async def test_r55_ids_are_hexadecimal_in_either_case(way: HttpWay, consumer: GatedConsumer) -> None:
    """Ids of spans, parents, links, log records and exemplars are read as hex, whatever its case."""
    for in_case in (str.lower, str.upper, str.title):
        consumer.batches.clear()
        ids = {"traceId": in_case(TRACE_ID), "spanId": in_case(SPAN_ID)}
        assert (await post(way, TRACES, span_json(**ids, parentSpanId=ids["spanId"], links=[ids]))).is_full_success
        assert (await post(way, LOGS, record_json(**ids))).is_full_success
        exemplar = {"timeUnixNano": str(END_NS), "asDouble": 1, **ids}
        assert (await post(way, METRICS, point_json(asInt="1", exemplars=[exemplar]))).is_full_success
        of_span, of_record, of_point = consumer.batches
        span = span_of(of_span)
        holders = [
            span,
            span.links[0],
            read(of_record).resource_logs[0].scope_logs[0].log_records[0],
            next(metrics_in(read(of_point))).gauge.data_points[0].exemplars[0],
        ]
        for holder in holders:
            assert (holder.trace_id.hex(), holder.span_id.hex()) == (TRACE_ID, SPAN_ID)
        assert span.parent_span_id.hex() == SPAN_ID


async def test_r56_other_bytes_are_base64(way: HttpWay, consumer: GatedConsumer) -> None:
    """`bytesValue` is base64 of either alphabet, with or without padding, even where it looks like hex."""
    data = b"\xfb\xff\xfe\x00\x01"
    for written in (base64.b64encode(data), base64.urlsafe_b64encode(data), base64.b64encode(data).rstrip(b"=")):
        assert (await post(way, TRACES, attribute_json({"bytesValue": written.decode()}))).is_full_success
        assert span_of(consumer.batches[-1]).attributes[0].value.bytes_value == data
    assert (await post(way, TRACES, attribute_json({"bytesValue": "abcdef01"}))).is_full_success
    assert span_of(consumer.batches[-1]).attributes[0].value.bytes_value == base64.b64decode("abcdef01")
    await refused(way, TRACES, attribute_json({"bytesValue": "not base64!"}), attribute_json({"bytesValue": [1, 2]}))


async def test_r57_an_id_that_is_no_hex_is_refused(way: HttpWay, consumer: GatedConsumer) -> None:
    """Letters beyond f, half a byte, base64, prefixes and numbers are 400; hex of another length costs one span."""
    for bad in (TRACE_ID[:-1] + "g", TRACE_ID[:-1], "W47/95gDgQPSabYzgT/GDA==", f"0x{TRACE_ID[2:]}", f" {TRACE_ID}", 5):
        await refused(way, TRACES, span_json(traceId=bad), span_json(links=[{"traceId": bad, "spanId": SPAN_ID}]))
        await refused(way, LOGS, record_json(traceId=bad))
        await refused(way, METRICS, point_json(asInt=1, exemplars=[{"traceId": bad}]))
    reply = await post(way, TRACES, span_json(traceId=TRACE_ID[2:]))
    assert reply.is_success
    assert reply.response.partial_success.rejected_spans == 1
    assert consumer.batches == []


async def test_r58_enums_are_numbers(way: HttpWay, consumer: GatedConsumer) -> None:
    """Numbers are kept, unknown ones too; names of values are refused."""
    for kind_number in (2, 4711):
        request = span_json(kind=kind_number, status={"code": kind_number})
        assert (await post(way, TRACES, request)).is_full_success
        span = span_of(consumer.batches[-1])
        assert (span.kind, span.status.code) == (kind_number, kind_number)
    assert (await post(way, LOGS, record_json(severityNumber=17))).is_full_success
    await refused(way, TRACES, span_json(kind="SPAN_KIND_SERVER"), span_json(status={"code": "STATUS_CODE_ERROR"}))
    await refused(way, TRACES, span_json(kind=1.5), span_json(kind=True), span_json(kind=2**31))
    await refused(way, LOGS, record_json(severityNumber="SEVERITY_NUMBER_ERROR"))
    temporality = histogram_json(bucketCounts=[1], count=1)
    temporality["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["histogram"]["aggregationTemporality"] = (
        "AGGREGATION_TEMPORALITY_DELTA"
    )
    await refused(way, METRICS, temporality)


async def test_r59_unknown_members_are_ignored_at_every_depth(way: HttpWay, consumer: GatedConsumer) -> None:
    """Members that the schema does not have change nothing, whatever their values are."""
    for kind in KINDS:
        plain = json.loads(to_json(kind.sample()))
        for unknown in ("text", 1e300, None, [[["deep"]]], {"resourceSpans": 5}, {"traceId": "zz"}):
            assert (await post(way, kind, _everywhere(plain, {"unknown": unknown}))).is_full_success
            assert read(consumer.batches[-1]) == kind.sample()


def _everywhere(value: Any, members: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_everywhere(one, members) for one in value]
    if isinstance(value, dict):
        return members | {key: _everywhere(one, members) for key, one in value.items()}
    return value


async def test_r60_names_are_lower_camel_case_only(way: HttpWay, consumer: GatedConsumer) -> None:
    """The names of the schema itself, with underscores, are unknown members: ignored."""
    request = span_json(
        dropped_attributes_count=5, end_time_unix_nano="7", trace_id="zz", TraceId="zz", droppedEventsCount=3
    )
    assert (await post(way, TRACES, request)).is_full_success
    span = span_of(consumer.batches[-1])
    assert (span.dropped_attributes_count, span.end_time_unix_nano, span.dropped_events_count) == (0, END_NS, 3)
    assert (await post(way, TRACES, {"resource_spans": span_json()["resourceSpans"]})).is_full_success
    assert len(consumer.batches) == 1, "a request without known members is empty"


async def test_r61_64_bit_integers_are_strings_or_numbers(way: HttpWay, consumer: GatedConsumer) -> None:
    """Both forms are read exactly, up to the ends of their ranges."""
    for number in (0, 2**53 + 1, 2**63 - 1, -(2**63)):
        for written in (number, str(number)):
            assert (await post(way, TRACES, attribute_json({"intValue": written}))).is_full_success
            assert span_of(consumer.batches[-1]).attributes[0].value.int_value == number
    for number in (0, 2**53 + 1, LARGEST_UINT64):
        for written in (number, str(number)):
            counts = histogram_json(count=written, bucketCounts=[written])
            assert (await post(way, METRICS, counts)).is_full_success
            point = next(metrics_in(read(consumer.batches[-1]))).histogram.data_points[0]
            assert (point.count, list(point.bucket_counts)) == (number, [number])
            assert (await post(way, TRACES, span_json(startTimeUnixNano=written))).is_success
            assert span_of(consumer.batches[-1]).start_time_unix_nano == number
    await refused(
        way, TRACES, *(attribute_json({"intValue": bad}) for bad in ("", "1 ", "0x1", "one", "1.5", True, []))
    )


async def test_r62_doubles_have_special_values(way: HttpWay, consumer: GatedConsumer) -> None:
    """NaN and the infinities are strings; numbers may be strings; anything else is refused."""
    for written, expected in [
        ("NaN", math.nan),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("1.5", 1.5),
        ("-2e3", -2000.0),
        (1.5, 1.5),
        (3, 3.0),
    ]:
        assert (await post(way, METRICS, point_json(asDouble=written))).is_full_success
        found = next(metrics_in(read(consumer.batches[-1]))).gauge.data_points[0].as_double
        assert found == expected or (math.isnan(found) and math.isnan(expected))
    await refused(way, METRICS, *(point_json(asDouble=bad) for bad in ("3.f14", True, "", "inf", "nan", "1,5", {}, [])))
    await refused(way, METRICS, *(json.dumps(point_json(asDouble=bad)) for bad in (math.nan, math.inf)))


async def test_r63_null_is_the_same_as_absent(way: HttpWay, consumer: GatedConsumer) -> None:
    """A member that is null, whatever its type, is as if it were not there."""
    absent = dict.fromkeys(["kind", "attributes", "status", "startTimeUnixNano", "parentSpanId", "traceState", "flags"])
    assert (await post(way, TRACES, span_json(**absent))).is_full_success
    assert (await post(way, TRACES, span_json())).is_full_success
    assert consumer.batches[0].batch_id == consumer.batches[1].batch_id
    for kind, name in [(TRACES, "resourceSpans"), (METRICS, "resourceMetrics"), (LOGS, "resourceLogs")]:
        assert (await post(way, kind, {name: None})).is_full_success
    assert (await post(way, LOGS, record_json(body=None, attributes=[{"key": "k", "value": None}]))).is_full_success
    assert len(consumer.batches) == 3


async def test_r64_two_members_of_one_oneof_are_refused(way: HttpWay, consumer: GatedConsumer) -> None:
    """Which of them was meant cannot be known: 400. One of them being null, the other one counts."""
    await refused(way, TRACES, attribute_json({"stringValue": "1", "intValue": 1}))
    await refused(way, METRICS, point_json(asInt=1, asDouble=1.0))
    two = point_json(asInt=1)
    two["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"] = {"dataPoints": []}
    await refused(way, METRICS, two)
    assert consumer.batches == []
    assert (await post(way, TRACES, attribute_json({"stringValue": None, "intValue": 1}))).is_full_success
    assert span_of(consumer.batches[0]).attributes[0].value.int_value == 1


async def test_r65_numbers_out_of_range_are_refused(way: HttpWay, consumer: GatedConsumer) -> None:
    """What does not fit its type is 400, as a number and as a string, and never cut to fit."""
    for bad in (-1, LARGEST_UINT64 + 1, 10**400):
        for written in (bad, str(bad)):
            await refused(way, TRACES, span_json(startTimeUnixNano=written))
            await refused(way, METRICS, histogram_json(count=written))
            await refused(way, LOGS, record_json(observedTimeUnixNano=written))
    for written in (2**63, str(2**63), -(2**63) - 1):
        await refused(way, TRACES, attribute_json({"intValue": written}))
    await refused(way, TRACES, span_json(droppedLinksCount=2**32), span_json(flags=-1))
    await refused(way, METRICS, point_json(asDouble="1e999"), '{"resourceMetrics":[{"droppedX":1' + "0" * 5_000 + "}")
    assert consumer.batches == []


async def test_r66_deep_nesting_is_refused_or_taken_whole(way: HttpWay, consumer: GatedConsumer) -> None:
    """Values and unknown members that are nested too deeply are 400, never a crash, a 5xx or a loss."""
    for depth in (60, 200, 2_000, 100_000):
        arrays = '{"arrayValue":{"values":[' * depth + '{"intValue":1}' + "]}}" * depth
        maps = '{"kvlistValue":{"values":[{"key":"k","value":' * depth + "{}" + "}]}}" * depth
        for value in (arrays, maps):
            request = json.dumps(attribute_json("VALUE")).replace('"VALUE"', value)
            assert (await post(way, TRACES, request)).code == 400, depth
        unknown = json.dumps(span_json(unknown="VALUE"))
        for value in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
            reply = await post(way, TRACES, unknown.replace('"VALUE"', value))
            assert reply.code == 400 or (reply.is_full_success and depth < 1_000), depth
            assert (await post(way, TRACES, "[" * depth)).code == 400
    consumer.batches.clear()
    for depth in (1, 20, 40):
        nested = {"intValue": "1"}
        for _ in range(depth):
            nested = {"arrayValue": {"values": [nested]}}
        assert (await post(way, TRACES, attribute_json(nested))).is_full_success, depth
        assert str(span_of(consumer.batches.pop())).count("array_value") == depth


@pytest.mark.parametrize("binary_way", ["grpc", "http/protobuf"])
async def test_r66_deep_nesting_of_protobuf_is_refused(
    receiver: OtlpReceiver, consumer: GatedConsumer, binary_way: str
) -> None:
    """The same values as protobuf are INVALID_ARGUMENT or 400."""
    sender = way_of(binary_way, receiver)
    nested = AnyValue(int_value=1).SerializeToString()
    for depth in range(1, 2_001):
        nested = _field(5, _field(1, nested))  # AnyValue.array_value, ArrayValue.values
        if depth in (60, 200, 2_000):
            attribute = _field(9, _field(1, b"key") + _field(2, nested))
            request = _field(1, _field(2, _field(2, span("deep").SerializeToString() + attribute)))
            assert (await sender.send_bytes(TRACES, request)).is_one_of("INVALID_ARGUMENT", 400), depth
    assert (await send(sender, TRACES, TRACES.sample())).is_full_success


def _field(number: int, payload: bytes) -> bytes:
    """Return a protobuf field that has a length, which is written in three bytes."""
    size = len(payload)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + payload


async def test_r67_invalid_text_is_refused(way: HttpWay, consumer: GatedConsumer) -> None:
    """Invalid UTF-8, lone surrogates and other encodings of JSON are 400; escaped pairs and NUL are text."""
    whole = json.dumps(span_json(name="MARK")).encode()
    for bad in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\\ud800", b"\\udc00\\ud800", b"\n", b"\\x41"):
        assert (await way.send_bytes(TRACES, whole.replace(b"MARK", bad))).code == 400, bad
    for encoding in ("utf-16", "utf-32"):
        assert (await way.send_bytes(TRACES, whole.decode().encode(encoding))).code == 400
    assert consumer.batches == []
    for written, name in [
        (b"\\ud83d\\ude00", "\N{GRINNING FACE}"),
        ("Zürich".encode(), "Zürich"),
        (b"a\\u0000b", "a\0b"),
    ]:
        assert (await way.send_bytes(TRACES, whole.replace(b"MARK", written))).is_full_success
        assert span_of(consumer.batches[-1]).name == name


@pytest.mark.parametrize("binary_way", ["grpc", "http/protobuf"])
async def test_r67_invalid_text_in_protobuf_is_refused(
    receiver: OtlpReceiver, consumer: GatedConsumer, binary_way: str
) -> None:
    """Strings that are no UTF-8 make a request invalid as a whole, wherever they are."""
    sender = way_of(binary_way, receiver)
    for kind in KINDS:
        for text in (b"item 0", b"shop", b"service.name"):
            whole = kind.sample().SerializeToString()
            assert whole.count(text) == 1
            bad = whole.replace(text, b"\xff" * len(text))
            assert (await sender.send_bytes(kind, bad)).is_one_of("INVALID_ARGUMENT", 400), text
    assert consumer.batches == []


async def test_r68_responses_follow_the_same_rules(way: HttpWay, consumer: GatedConsumer) -> None:
    """Success is `{}`; a partial success has lowerCamelCase names and its count as a string; a failure is a Status."""
    for kind in KINDS:
        assert (await way.send_bytes(kind, to_json(kind.sample()))).body == b"{}"
    for kind, name in [(TRACES, "rejectedSpans"), (METRICS, "rejectedDataPoints")]:
        reply = await way.send_bytes(kind, to_json(half_invalid(kind)[0]))
        (partial,) = json.loads(reply.body).values()
        assert list(json.loads(reply.body)) == ["partialSuccess"]
        assert set(partial) == {name, "errorMessage"}
        assert isinstance(partial[name], str)
        assert int(partial[name]) > 0
    failure = json.loads((await post(way, LOGS, "[]")).body)
    assert failure.keys() >= {"message"}
    assert failure.keys() <= {"code", "message", "details"}

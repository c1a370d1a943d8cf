"""OTLP/JSON means what the specification's "JSON Protobuf Encoding" says, and nothing else is taken for it."""

from __future__ import annotations

import json
import math
import re
import tracemalloc
from random import Random
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans as json_spans
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as protobuf_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from otlp_receiver import json_texts
from otlp_receiver.errors import MalformedError, TooLargeError
from otlp_receiver.json_requests import protobuf_of
from otlp_receiver.json_texts import LONGEST_VALUE_BYTES
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_json import fill, otlp_json

REQUESTS = [ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest]
SEEDS = st.integers(0, 2**32)
TRACE_ID = "5B8EFFF798038103D269B633813FC60C"
SPAN_ID = "EEE19B7EC3C1B174"


def decoded(text: str | bytes, message_class: type[Message] = ExportTraceServiceRequest) -> Any:
    body = text if isinstance(text, bytes) else text.encode()
    return message_class.FromString(protobuf_of(message_class, body))


def span(text: str) -> Span:
    """Return the span that a request has with this JSON as its only one."""
    found: Span = decoded(request_with_span(text)).resource_spans[0].scope_spans[0].spans[0]
    return found


def request_with_span(text: str) -> bytes:
    return f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{text}]}}]}}]}}'.encode()


def any_value(text: str) -> AnyValue:
    return span(f'{{"attributes":[{{"key":"a","value":{text}}}]}}').attributes[0].value


def log_record(text: str) -> LogRecord:
    request = decoded(f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{text}]}}]}}]}}', ExportLogsServiceRequest)
    record: LogRecord = request.resource_logs[0].scope_logs[0].log_records[0]
    return record


def metric(text: str) -> Metric:
    body = f'{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{text}]}}]}}]}}'
    found: Metric = decoded(body, ExportMetricsServiceRequest).resource_metrics[0].scope_metrics[0].metrics[0]
    return found


def point(text: str) -> NumberDataPoint:
    return metric(f'{{"gauge":{{"dataPoints":[{text}]}}}}').gauge.data_points[0]


def exemplar(text: str) -> Exemplar:
    return point(f'{{"exemplars":[{text}]}}').exemplars[0]


# Requests as wholes.


def test_an_empty_object_is_an_empty_request() -> None:
    """`{}` becomes no bytes at all, for each signal."""
    assert [protobuf_of(one, b"{}") for one in REQUESTS] == [b"", b"", b""]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"null",
        b"[]",
        b"1",
        b'"{}"',
        b"{",
        b"{}{}",
        b"{} x",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"\xff",
        b'{"a":"\xc3"}',
        b'{"a":"\xed\xa0\x80"}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a" 1}',
        b'{,"a":1}',
        b"{a:1}",
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":"\n"}',
        b'{"a":"\\x41"}',
        b'{"a":truex}',
        b"\x0c{}",
        b"{}\0",
        b'{"a":' + b"1" * 5000 + b"}",
        b'{"resourceSpans":[{},]}',
        b'{"resourceSpans":[{} {}]}',
        b'{"resourceSpans":[,{}]}',
        b'{"resourceSpans":[{}',
        b'{"resourceSpans"',
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """Empty, cut, trailed by something, in another encoding or in a laxer dialect: none of it is a request."""
    with pytest.raises(MalformedError):
        protobuf_of(ExportTraceServiceRequest, body)


@pytest.mark.parametrize("at", ["[]", "{}", "1", '"x"', "true", "[[]]", "[1]", "[null]", '{"spans":[]}'])
def test_an_envelope_of_another_type_is_malformed(at: str) -> None:
    """Where a list of objects belongs, only a list of objects will do, within the lists as well."""
    for body in [f'{{"resourceSpans":{at}}}', f'{{"resourceSpans":[{{"scopeSpans":{at}}}]}}']:
        if at == "[]":
            decoded(body)
        else:
            with pytest.raises(MalformedError):
                decoded(body)


def test_blanks_between_tokens_mean_nothing() -> None:
    """Indented JSON is the same request as dense JSON."""
    request = trace_request(server_spans(3))
    assert decoded(json.dumps(otlp_json(request), indent="\t").replace("\n", " \r\n")) == request


def test_the_order_of_members_does_not_change_the_protobuf() -> None:
    """The same request in any order becomes the same bytes, so that it has the same content hash."""
    request = trace_request(server_spans(2))
    backwards = json.dumps(reversed_members(otlp_json(request))).encode()
    assert protobuf_of(ExportTraceServiceRequest, backwards) == request.SerializeToString(deterministic=True)


def reversed_members(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_members(member) for name, member in reversed(value.items())}
    return [reversed_members(one) for one in value] if isinstance(value, list) else value


def test_of_members_with_one_name_the_last_counts() -> None:
    """Repetition is not merged, in the envelopes no more than within items; a last null leaves nothing."""
    assert span('{"name":"a","name":"b"}').name == "b"
    assert span('{"name":"a","name":null}').name == ""
    twice = '{"resourceSpans":[{"schemaUrl":"a"},{"schemaUrl":"b"}],"resourceSpans":[{"schemaUrl":"c"}]}'
    assert [one.schema_url for one in decoded(twice).resource_spans] == ["c"]
    assert not decoded('{"resourceSpans":[{}],"resourceSpans":null}').resource_spans


# Names, null and unknown members.


def test_only_lower_camel_case_names_are_known() -> None:
    """Snake case and wrong case are names of unknown members."""
    found = span('{"dropped_attributes_count":3,"DroppedEventsCount":4,"trace_id":"zz","droppedLinksCount":5}')
    assert found == Span(dropped_links_count=5)
    assert decoded('{"resource_spans":[{}]}') == ExportTraceServiceRequest()


@pytest.mark.parametrize("unknown", ["1", "null", '"x"', '[{"a":[]}]', '{"key":{"name":1}}', "1e999", '"\\ud800"'])
def test_unknown_members_are_ignored_at_every_depth(unknown: str) -> None:
    """Whatever they hold, as long as it is JSON."""
    extra = f'"new":{unknown}'
    body = (
        f'{{{extra},"resourceSpans":[{{{extra},"resource":{{{extra}}},"scopeSpans":[{{"scope":{{"name":"s",{extra}}},'
        f'"spans":[{{"name":"n",{extra},"status":{{"code":2,{extra}}},"attributes":[{{"key":"k","value":{{{extra}}},'
        f"{extra}}}]}}],{extra}}}]}}]}}"
    )
    [scope] = decoded(body).resource_spans[0].scope_spans
    assert (scope.scope.name, scope.spans[0].name, scope.spans[0].status.code) == ("s", "n", 2)
    assert scope.spans[0].attributes[0].value == AnyValue()


def test_null_is_the_same_as_no_member() -> None:
    """For scalars, lists, messages, members of a oneof, and envelopes."""
    names = ["traceId", "name", "kind", "startTimeUnixNano", "attributes", "status", "flags"]
    assert span(json.dumps(dict.fromkeys(names))) == Span()
    assert any_value('{"stringValue":null}') == AnyValue()
    assert any_value('{"stringValue":null,"intValue":"3"}') == AnyValue(int_value=3)
    assert metric('{"sum":null,"gauge":{}}').WhichOneof("data") == "gauge"
    assert decoded('{"resourceSpans":null}') == ExportTraceServiceRequest()
    assert decoded('{"resourceSpans":[{"resource":null,"scopeSpans":null,"schemaUrl":null}]}').resource_spans


@pytest.mark.parametrize("member", ["attributes", "events", "links"])
def test_null_within_a_list_is_malformed(member: str) -> None:
    """An element cannot be absent."""
    with pytest.raises(MalformedError, match=r"\[0\] must be an object, not null"):
        span(f'{{"{member}":[null]}}')


# Ids and bytes.


def test_ids_are_hexadecimal_in_either_case_wherever_they_occur() -> None:
    """In spans, links, log records and exemplars, a trace id and a span id are hex."""
    both = f'"traceId":"{TRACE_ID}","spanId":"{SPAN_ID.lower()}"'
    parent = span(f'{{{both},"parentSpanId":"{SPAN_ID}","links":[{{{both}}}]}}')
    for found in [parent, parent.links[0], log_record(f"{{{both}}}"), exemplar(f"{{{both}}}")]:
        assert (found.trace_id, found.span_id) == (bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID))
    assert parent.parent_span_id == bytes.fromhex(SPAN_ID)


@pytest.mark.parametrize("member", ["traceId", "spanId", "parentSpanId"])
@pytest.mark.parametrize("text", ['"5B8"', '"W47/95gDgQPSabYzgT/GDA=="', '"zz"', '"5B 8E"', '"٤٢"', '"\\ud800"', "[1]"])
def test_what_is_not_hexadecimal_is_no_id(member: str, text: str) -> None:
    """An odd number of digits, base64, blanks and other scripts' digits are refused."""
    with pytest.raises(MalformedError, match=rf"spans\[0\]\.{member} must be"):
        span(f'{{"{member}":{text}}}')


def test_ids_of_wrong_length_are_left_to_be_judged_later() -> None:
    """They make one span invalid, not the request malformed."""
    assert span('{"traceId":"abcd","spanId":""}') == Span(trace_id=b"\xab\xcd")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("YQ==", b"a"),
        ("YQ", b"a"),
        ("+/8=", b"\xfb\xff"),
        ("-_8=", b"\xfb\xff"),
        ("-_8", b"\xfb\xff"),
        ("YWJj", b"abc"),
    ],
)
def test_other_bytes_are_base64(text: str, data: bytes) -> None:
    """In the standard or the URL-safe alphabet, padded or not."""
    assert any_value(f'{{"bytesValue":"{text}"}}') == AnyValue(bytes_value=data)


@pytest.mark.parametrize("text", ['"Y"', '"YQ==YQ=="', '"Y Q="', '"!"', '"=YQ"', '"é"', "1", "[]"])
def test_what_is_not_base64_is_malformed(text: str) -> None:
    """Neither characters outside the alphabets nor impossible lengths are skipped."""
    with pytest.raises(MalformedError, match="bytesValue must be"):
        any_value(f'{{"bytesValue":{text}}}')


# Numbers, booleans and enums.

INTEGERS: dict[str, tuple[str, int, int]] = {
    "int64": ('{"intValue":%s}', -(2**63), 2**63 - 1),
    "sfixed64": ('{"asInt":%s}', -(2**63), 2**63 - 1),
    "fixed64": ('{"startTimeUnixNano":%s}', 0, 2**64 - 1),
    "uint32": ('{"droppedAttributesCount":%s}', 0, 2**32 - 1),
    "fixed32": ('{"flags":%s}', 0, 2**32 - 1),
    "enum": ('{"kind":%s}', -(2**31), 2**31 - 1),
    "sint32": ('{"scale":%s}', -(2**31), 2**31 - 1),
    "uint64": ('{"bucketCounts":[%s]}', 0, 2**64 - 1),
}


def integer(kind: str, text: str) -> int:
    """Return what a field of this type holds after `text` was decoded for it."""
    member = INTEGERS[kind][0] % text
    if kind == "int64":
        return any_value(member).int_value
    if kind == "sfixed64":
        return point(member).as_int
    if kind in ("sint32", "uint64"):
        histogram = member if kind == "sint32" else f'{{"positive":{member}}}'
        found = metric(f'{{"exponentialHistogram":{{"dataPoints":[{histogram}]}}}}').exponential_histogram
        [data_point] = found.data_points
        return data_point.scale if kind == "sint32" else data_point.positive.bucket_counts[0]
    decoded_span = span(member)
    by_kind = {
        "fixed64": decoded_span.start_time_unix_nano,
        "uint32": decoded_span.dropped_attributes_count,
        "fixed32": decoded_span.flags,
        "enum": int(decoded_span.kind),
    }
    return by_kind[kind]


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_are_read_up_to_the_ends_of_their_range(kind: str) -> None:
    """As numbers, and unless they are enums as strings; what is written with an exponent too, if it is whole."""
    _, lowest, highest = INTEGERS[kind]
    for number in [lowest, highest, 0, 1, highest // 3]:
        assert integer(kind, str(number)) == number
        if kind != "enum":
            assert integer(kind, f'"{number}"') == number
    assert [integer(kind, text) for text in ["1.0", "1e3", "2E+1", "1.5e1", "-0", "-0.0"]] == [1, 1000, 20, 15, 0, 0]


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_beyond_their_range_are_malformed(kind: str) -> None:
    """By one as by much, as number or as string; none wraps around."""
    _, lowest, highest = INTEGERS[kind]
    for number in [str(lowest - 1), str(highest + 1), "1e20", "-1e20", "1e999", "-1e999", "1" + "0" * 100]:
        for text in [number, f'"{number}"']:
            with pytest.raises(MalformedError, match="must be"):
                integer(kind, text)


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize(
    "text",
    [
        *['"3.f14"', "true", "false", "1.5", '"1.5"', "1e-1", '""', '" 1"', '"1 "', '"1_0"', '"+1"', '"0x1"', '"١"'],
        *['"NaN"', '"Infinity"', '"--1"', '"1e"', '"1."', '".5"', "{}", "[]", '"\\ud800"', '"1\\n"'],
    ],
)
def test_what_is_no_integer_is_malformed(kind: str, text: str) -> None:
    """Fractions, booleans, blanks, signs, underscores and other scripts' digits are refused."""
    with pytest.raises(MalformedError, match="must be"):
        integer(kind, text)


def test_integers_that_no_double_holds_survive() -> None:
    """2^53 + 1 is read exactly, with quotes or without."""
    exact = 2**53 + 1
    assert any_value(f'{{"intValue":{exact}}}').int_value == exact
    assert any_value(f'{{"intValue":"{exact}"}}').int_value == exact


def test_an_integer_just_below_its_range_is_not_rounded_into_it() -> None:
    """-2^63 - 1 is -2^63 as a double, and refused nevertheless."""
    with pytest.raises(MalformedError):
        any_value(f'{{"intValue":{-(2**63) - 1}}}')


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3.14", 3.14),
        ('"3.14"', 3.14),
        ("-3.14", -3.14),
        ('"-3.14"', -3.14),
        ("5", 5.0),
        ('"5"', 5.0),
        ("1e3", 1000.0),
        ('"1e3"', 1000.0),
        ("1.7976931348623157e+308", 1.7976931348623157e308),
        ("1e-999", 0.0),
        (str(2**64), 2.0**64),
        ('"Infinity"', math.inf),
        ('"-Infinity"', -math.inf),
        ('"NaN"', math.nan),
    ],
)
def test_doubles_are_numbers_or_strings_of_them_or_special(text: str, number: float) -> None:
    """Numbers with or without quotes; NaN and the infinities in quotes."""
    for found in [any_value(f'{{"doubleValue":{text}}}').double_value, point(f'{{"asDouble":{text}}}').as_double]:
        assert found == number or (math.isnan(found) and math.isnan(number))


@pytest.mark.parametrize(
    "text",
    [
        *['"3.f14"', "true", "false", '""', '"nan"', '"inf"', '"infinity"', '"+Infinity"', '" 1"', '"1_0"', '"0x1p3"'],
        *["1e999", '"1e999"', "-1e999", "1" + "0" * 400, "[]", "{}", "NaN", "Infinity"],
    ],
)
def test_what_is_no_double_is_malformed(text: str) -> None:
    """Booleans, other spellings of the special values, and what is beyond a double's range."""
    with pytest.raises(MalformedError):
        any_value(f'{{"doubleValue":{text}}}')


def test_booleans_are_true_and_false_only() -> None:
    """Neither numbers nor strings are truth values; false within a oneof is a value."""
    assert any_value('{"boolValue":true}') == AnyValue(bool_value=True)
    assert any_value('{"boolValue":false}').WhichOneof("value") == "bool_value"
    for text in ["1", "0", '"true"', '""', "[]", "{}"]:
        with pytest.raises(MalformedError, match="boolValue must be true or false"):
            any_value(f'{{"boolValue":{text}}}')


def test_enums_are_numbers_known_or_not() -> None:
    """A number that has no name yet is kept."""
    assert span('{"kind":2,"status":{"code":2}}') == Span(kind=Span.SPAN_KIND_SERVER, status={"code": 2})  # type: ignore[arg-type]
    assert span('{"kind":17}').kind == 17
    assert log_record('{"severityNumber":9}').severity_number == 9
    assert metric('{"sum":{"aggregationTemporality":2}}').sum.aggregation_temporality == 2


@pytest.mark.parametrize("text", ['"SPAN_KIND_SERVER"', '"2"', '"server"', "true", "2.5", "{}"])
def test_the_name_of_an_enum_value_is_malformed(text: str) -> None:
    """OTLP allows the numbers only."""
    with pytest.raises(MalformedError, match=r"spans\[0\]\.kind must be"):
        span(f'{{"kind":{text}}}')


def test_strings_are_strings_only() -> None:
    """Numbers and objects are not turned into text; escapes and NUL are."""
    assert span('{"name":"\\u00fc\\ud83d\\ude42\\u0000\\/"}').name == "ü🙂\0/"
    for text in ["1", "true", "[]", "{}"]:
        with pytest.raises(MalformedError, match=r"spans\[0\]\.name must be a string"):
            span(f'{{"name":{text}}}')


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00", "a\\ud83db", "\\ude42\\ud83d"])
def test_half_of_a_surrogate_pair_is_malformed(text: str) -> None:
    """In a value, in a key and in the lists of names: it has no UTF-8."""
    for body in [f'{{"name":"{text}"}}', f'{{"attributes":[{{"key":"{text}"}}]}}', f'{{"traceState":"{text}"}}']:
        with pytest.raises(MalformedError, match="surrogate"):
            span(body)


# Oneofs.


@pytest.mark.parametrize(
    "text",
    ['{"stringValue":"a","intValue":1}', '{"boolValue":false,"arrayValue":{}}', '{"intValue":0,"doubleValue":0}'],
)
def test_two_members_of_one_oneof_are_malformed(text: str) -> None:
    """An attribute has one value."""
    with pytest.raises(MalformedError, match="must have only one of"):
        any_value(text)


def test_defaults_and_empty_lists_are_left_out_unless_their_presence_counts() -> None:
    """As the generated classes do, so that one request has one content hash, however its sender spells defaults."""
    defaults = '{"name":"","kind":0,"startTimeUnixNano":"0","flags":0,"traceId":"","droppedLinksCount":0,"events":[]}'
    assert protobuf_of(ExportTraceServiceRequest, request_with_span(defaults)) == protobuf_of(
        ExportTraceServiceRequest, request_with_span("{}")
    )
    point = '{"bucketCounts":[],"explicitBounds":[],"count":0,"sum":0,"min":-0.0,"attributes":[]}'
    request = ExportMetricsServiceRequest()
    histogram = request.resource_metrics.add().scope_metrics.add().metrics.add().histogram
    histogram.data_points.add(sum=0.0, min=-0.0)
    body = f'{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{point}]}}}}]}}]}}]}}'
    assert protobuf_of(ExportMetricsServiceRequest, body.encode()) == request.SerializeToString(deterministic=True)


def test_two_kinds_of_data_in_one_metric_are_malformed() -> None:
    """Nor can a metric be a gauge and a sum, or a point be whole and broken."""
    with pytest.raises(MalformedError, match=r"metrics\[0\] must have only one of gauge and sum"):
        metric('{"name":"m","gauge":{},"sum":{}}')
    with pytest.raises(MalformedError, match="must have only one of asDouble and asInt"):
        point('{"asInt":1,"asDouble":1}')


def test_values_of_every_kind_are_read() -> None:
    """Empty ones, arrays of several types, and lists of pairs, within each other."""
    found = any_value(
        '{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":['
        '{},{"intValue":1},{"stringValue":""},{"arrayValue":{}},{"kvlistValue":{"values":[{"key":"b"}]}}]}}}]}}'
    )
    [pair] = found.kvlist_value.values
    kinds = [one.WhichOneof("value") for one in pair.value.array_value.values]
    assert kinds == [None, "int_value", "string_value", "array_value", "kvlist_value"]


# What a fault says.


def test_a_fault_names_its_place_and_not_what_was_written() -> None:
    """The path has the names of the specification and the indices; the client's text stays out of it."""
    secret = "secret" * 1000
    body = (
        f'{{"{secret}":1,"resourceSpans":[{{}},{{"scopeSpans":[{{"spans":[{{}},{{"name":"n","attributes":[{{"key":"k",'
    )
    body += f'"value":{{"intValue":"{secret}"}}}}]}}]}}]}}]}}'
    path = "resourceSpans[1].scopeSpans[0].spans[1].attributes[0].value.intValue"
    with pytest.raises(MalformedError, match=f"^{re.escape(path)} must be a decimal number$"):
        decoded(body)


def test_a_fault_of_syntax_names_the_byte() -> None:
    """Counted in bytes, whatever characters came before."""
    body = '{"é":"日本","resourceSpans":[}'
    at = body.encode().index(b"[}") + 1
    with pytest.raises(MalformedError, match=rf"^resourceSpans\[0\] is not valid JSON: Expecting value at byte {at}$"):
        decoded(body)
    with pytest.raises(MalformedError, match=r"^the body is not valid JSON: Unterminated string starting at byte 1$"):
        decoded('{"')


def test_the_message_of_a_fault_stays_short() -> None:
    """Even at the end of a long path."""
    with pytest.raises(MalformedError) as caught:
        any_value(nested(60))
    assert len(str(caught.value)) < 300


# Depth.


def nested(levels: int) -> str:
    return '{"arrayValue":{"values":[' * levels + "{}" + "]}}" * levels


def test_what_is_decoded_is_never_too_deep_to_be_parsed() -> None:
    """As deep as protobuf's parser reads is accepted; one message deeper is malformed."""
    assert any_value(nested(47)).HasField("array_value")
    with pytest.raises(MalformedError, match="deeper than 100 messages"):
        any_value(nested(48))


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"arrayValue":{"values":[', '{"kvlistValue":{"values":[{"value":'])
def test_a_hundred_thousand_levels_are_malformed(opening: str, is_known: bool) -> None:
    """Closed or not, in a value or in an unknown member."""
    closing = "".join({"[": "]", "{": "}"}.get(character, "") for character in reversed(opening))
    for bomb in [opening * 100_000, opening * 100_000 + "1" + closing * 100_000]:
        with pytest.raises(MalformedError):
            any_value(bomb) if is_known else decoded(f'{{"unknown":{bomb}}}')


# Large requests.


def test_a_request_is_the_same_wherever_the_window_ends() -> None:
    """Any token may lie across the end of the part of a large body that is being read."""
    token = '{"name":"\u00e9日🙂","sum":{"aggregationTemporality":1.0e+0,"isMonotonic":true}}'
    expected = metric(token)
    for shift in range(len(token.encode()) + 60):
        blanks = " " * (256 * 1024 - shift)
        assert metric(f"{blanks}{token}{blanks}") == expected


def test_a_large_request_is_the_same_as_its_parts() -> None:
    """Megabytes with characters of every width and with items longer than others become the same message."""
    request = trace_request(server_spans(3000))
    spans = request.resource_spans[0].scope_spans[0].spans
    for at in range(0, 3000, 500):
        spans[at].name = "aé日🙂" * (at * 40)
    body = json.dumps(otlp_json(request), ensure_ascii=False).encode()
    assert len(body) > 3_000_000
    assert protobuf_of(ExportTraceServiceRequest, body) == request.SerializeToString(deterministic=True)


def test_a_large_request_takes_little_more_memory_than_its_text_and_its_protobuf() -> None:
    """Its items do not all become objects at once."""
    one = json.dumps(otlp_json(server_spans(1)[0]))
    body = f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{",".join([one] * 6_000)}]}}]}}]}}'.encode()
    tracemalloc.start()
    size = len(protobuf_of(ExportTraceServiceRequest, body))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * size + 2 * 1024 * 1024 < 3 * len(body)


def test_a_request_that_is_larger_as_protobuf_is_too_large() -> None:
    """The limit is that of all requests, and found before much more than that has been made."""
    counts = ",".join(["0"] * 10_000)
    body = '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[%s]}}]}]}]}'
    text = (body % ",".join([f'{{"bucketCounts":[{counts}]}}'] * 3)).encode()
    assert len(protobuf_of(ExportMetricsServiceRequest, text, 4 * len(text))) > 3 * len(text)
    with pytest.raises(TooLargeError, match=f"larger than {len(text)} bytes as protobuf"):
        protobuf_of(ExportMetricsServiceRequest, text, len(text))


@pytest.mark.parametrize(
    "body",
    [
        '{"resourceSpans":[' + "{}," * 1_100 + "{}]}",
        "{" + '"a":1,' * 1_100 + '"a":1}',
        '{"resourceSpans":[' + ('{"scopeSpans":[' + "{}," * 100 + "{}]},") * 11 + "{}]}",
    ],
    ids=["elements", "members", "elements of elements"],
)
def test_a_request_of_very_many_parts_is_too_large(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Each part takes time, however short it is: 64 MiB of them would take half a minute."""
    monkeypatch.setattr(json_texts, "MAX_FIELDS", 1_000)
    with pytest.raises(TooLargeError, match="more than 1000 parts"):
        protobuf_of(ExportTraceServiceRequest, body.encode())


def test_an_item_that_is_too_long_is_malformed_and_one_that_is_not_is_read() -> None:
    """One item may take 8 MiB of text, which bounds the memory that any request can make us take."""
    fitting = LONGEST_VALUE_BYTES - 100
    assert len(span(f'{{"name":"{"x" * fitting}"}}').name) == fitting
    with pytest.raises(MalformedError, match=r"spans\[0\] .* has a value of more than 8388608 bytes"):
        span(f'{{"name":"{"x" * LONGEST_VALUE_BYTES}"}}')


# Against others.


def test_the_requests_made_for_these_tests_have_every_field() -> None:
    """Each field of each message of the three signals is set in some of them."""
    found: set[str] = set()
    known: set[str] = set()
    for message_class in REQUESTS:
        note_fields(message_class.DESCRIPTOR, known)
        for seed in range(100):
            request = message_class()
            fill(request, Random(seed))
            note_members(request, found)
    assert found == known


def note_fields(descriptor: Descriptor, known: set[str]) -> None:
    for field in descriptor.fields:
        if field.full_name not in known:
            known.add(field.full_name)
            if field.message_type is not None:
                note_fields(field.message_type, known)


def note_members(message: Message, found: set[str]) -> None:
    for field, value in message.ListFields():
        found.add(field.full_name)
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                note_members(one, found)


@settings(max_examples=400, deadline=None)
@given(SEEDS, st.sampled_from(REQUESTS), st.booleans(), st.booleans())
def test_any_request_survives_as_json(
    seed: int, message_class: type[Message], is_ascii: bool, is_shuffled: bool
) -> None:
    """Encoded by a plain encoder and decoded, it is the same, byte by byte as it would be serialised."""
    random = Random(seed)
    request = message_class()
    fill(request, random)
    members = otlp_json(request)
    body = json.dumps(reversed_members(members) if is_shuffled else members, ensure_ascii=is_ascii).encode()
    assert protobuf_of(message_class, body) == request.SerializeToString(deterministic=True)


TOKENS = [
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
    "\\",
]


@settings(max_examples=1500, deadline=None)
@given(SEEDS, st.sampled_from(REQUESTS))
def test_a_damaged_request_is_malformed_or_something_else_that_can_be_parsed(
    seed: int, message_class: type[Message]
) -> None:
    """Whatever is cut out of it, put into it or put in the place of something, no other error comes of it."""
    random = Random(seed)
    request = message_class()
    fill(request, random, depth=6)
    body = json.dumps(otlp_json(request))
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(body) + 1)
        if random.random() < 0.6:
            # The value after some name, so that it stays JSON more often.
            starts = [match.end() for match in re.finditer('": ?', body)]
            start = random.choice(starts) if starts else start
        body = body[:start] + random.choice(TOKENS) + body[start + random.choice([0, 0, 1, 2, 4, 10]) :]
    damaged = bytearray(body.encode())
    if damaged and random.random() < 0.3:
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    must_be_malformed_or_parsable(message_class, bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "resourceSpans",
                        "scopeSpans",
                        "spans",
                        "attributes",
                        "key",
                        "value",
                        "arrayValue",
                        "values",
                        "traceId",
                    ]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_malformed_or_a_request_that_can_be_parsed(value: Any) -> None:
    """Known names around values of any type."""
    for body in [json.dumps(value), json.dumps({"resourceSpans": [value]})]:
        must_be_malformed_or_parsable(ExportTraceServiceRequest, body.encode())


@given(st.binary(max_size=100))
def test_any_bytes_are_malformed_or_a_request_that_can_be_parsed(body: bytes) -> None:
    """Nothing but `MalformedError` escapes."""
    must_be_malformed_or_parsable(ExportLogsServiceRequest, body)


def must_be_malformed_or_parsable(message_class: type[Message], body: bytes) -> None:
    try:
        request = protobuf_of(message_class, body)
    except MalformedError:
        return
    try:
        parsed = message_class.FromString(request)
    except DecodeError as error:
        pytest.fail(f"what was decoded cannot be parsed: {error}")
    assert parsed.SerializeToString(deterministic=True) == request


def test_the_python_sdk_says_the_same_in_json_and_in_protobuf() -> None:
    """Spans of the SDK, encoded by its two exporters, are one and the same request."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests", "1.0", attributes={"scope": True})
    linked = SpanContext(2**127 + 3, 2**63 + 5, is_remote=True, trace_flags=TraceFlags(1))
    attributes = {"int": 2**53 + 1, "negative": -1, "text": "日本", "list": ["a", "b"], "ratio": 0.1, "yes": True}
    with tracer.start_as_current_span("parent", kind=SpanKind.SERVER, links=[Link(linked, {"a": 1})]) as parent:
        parent.set_attributes(attributes)
        parent.add_event("event", {"size": 3})
        with tracer.start_as_current_span("child", kind=SpanKind.CLIENT) as child:
            child.record_exception(ValueError("no"))
    provider.shutdown()
    spans = exporter.get_finished_spans()
    assert decoded(json_spans(spans).to_json()) == protobuf_spans(spans)


def test_the_shapes_of_the_published_examples_are_read() -> None:
    """Numbers where strings are usual, upper-case ids, integers for doubles: as in the examples beside the protocol."""
    common = '"startTimeUnixNano":1760000000000000000,"timeUnixNano":"1760000000000000001"'
    found = metric(
        f'{{"name":"m","unit":"1","histogram":{{"aggregationTemporality":1,"dataPoints":[{{{common},"count":3,"sum":3,'
        '"bucketCounts":[1,"1",1],"explicitBounds":[1,"2.5"],"min":1,"max":1}]}}'
    )
    [data_point] = found.histogram.data_points
    assert (data_point.count, data_point.sum, data_point.min) == (3, 3.0, 1.0)
    assert (list(data_point.bucket_counts), list(data_point.explicit_bounds)) == ([1, 1, 1], [1.0, 2.5])
    assert data_point.time_unix_nano == data_point.start_time_unix_nano + 1
    quantiles = metric('{"summary":{"dataPoints":[{"count":"2","quantileValues":[{"quantile":0.5,"value":"7"}]}]}}')
    assert quantiles.summary.data_points[0].quantile_values[0].value == 7.0
    record = log_record(f'{{"timeUnixNano":1760000000000000000,"traceId":"{TRACE_ID}","body":{{"kvlistValue":{{}}}}}}')
    assert record.body.WhichOneof("value") == "kvlist_value"

"""Requests decoded into columns: the spans that the generated classes show, from any encoding, in bounded memory."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from processor.aggregation import aggregate
from processor.component import build_decoder
from processor.settings import ProcessorSettings
from processor.span_columns import SpanColumns, SpanDecoder
from telemetry import PermanentError
from tests.support.otlp import (
    END_NS,
    key_values,
    merged_request,
    resource,
    server_span,
    server_spans,
    span,
    trace_request,
)
from tests.support.plain_red import by_series_and_second, plain_red_points

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

LATEST_NS = END_NS + 3600 * 10**9
MAX_U64 = 2**64 - 1


def decode(decoder: SpanDecoder, request: ExportTraceServiceRequest | bytes) -> SpanColumns:
    body = request if isinstance(request, bytes) else request.SerializeToString()
    return decoder.decode(body, latest_end_ns=LATEST_NS)


def routes_of(columns: SpanColumns) -> list[str]:
    return [columns.series[index].http_route for index in columns.series_index]


def assert_equals_plain(decoder: SpanDecoder, *bodies: bytes) -> None:
    fast = aggregate([decode(decoder, body) for body in bodies])
    assert by_series_and_second(fast) == by_series_and_second(plain_red_points(bodies, latest_end_ns=LATEST_NS))


def test_spans_become_rows_with_series_end_duration_and_outcome(decoder: SpanDecoder) -> None:
    """A row holds what its span says."""
    columns = decode(decoder, trace_request([server_span(), server_span(status_code=500, duration_ns=7)]))
    assert columns.end_ns.tolist() == [END_NS, END_NS]
    assert columns.duration_ns.tolist() == [50_000_000, 7]
    assert columns.is_error.tolist() == [False, True]
    ok, failed = (columns.series[index] for index in columns.series_index)
    assert (ok.service_name, ok.http_method, ok.http_route, ok.http_status_class) == (
        "shop",
        "GET",
        "/items/{id}",
        "2xx",
    )
    assert failed == ok._replace(http_status_class="5xx")


@pytest.mark.parametrize("body", [b"", ExportTraceServiceRequest(resource_spans=[ResourceSpans()]).SerializeToString()])
def test_a_request_without_spans_has_no_rows(decoder: SpanDecoder, body: bytes) -> None:
    """Empty requests and empty envelopes are valid (OTLP specification, "Empty Telemetry Envelopes")."""
    columns = decode(decoder, body)
    assert columns.item_count == columns.series_index.size == 0


def test_spans_without_a_series_are_skipped_and_counted(decoder: SpanDecoder) -> None:
    """INTERNAL spans without a model have no row, nor have kinds that are not known; they are counted."""
    spans = [span(kind=kind) for kind in (0, 1, 2, 3, 4, 5, 6, 100)]  # type: ignore[arg-type]
    columns = decode(decoder, trace_request(spans))
    assert (columns.item_count, columns.skipped_count, columns.series_index.size) == (8, 4, 4)


@pytest.mark.parametrize(
    ("start_ns", "end_ns"),
    [
        (0, 0),
        (0, END_NS),
        (1, 1),
        (END_NS, LATEST_NS + 1),
        (END_NS, MAX_U64),
        (MAX_U64, MAX_U64),
        (MAX_U64, 0),
        (END_NS, 946_684_799_999_999_999),
    ],
)
def test_impossible_times_are_set_aside_and_counted(decoder: SpanDecoder, start_ns: int, end_ns: int) -> None:
    """A clock that was never set, or runs far ahead, spoils no figure and no neighbour."""
    wrong = server_span()
    wrong.start_time_unix_nano, wrong.end_time_unix_nano = start_ns, end_ns
    columns = decode(decoder, trace_request([wrong, server_span(), span()]))
    assert (columns.item_count, columns.skipped_count, columns.invalid_count) == (3, 1, 1)
    assert columns.duration_ns.tolist() == [50_000_000]


def test_probes_are_left_out_and_counted(decoder: SpanDecoder) -> None:
    """They are stored as a part of their batch, and are in no figure."""
    spans = [server_span(route="/health"), server_span(route="/predict"), server_span(route="/health", status_code=500)]
    columns = decode(decoder, trace_request(spans))
    assert (columns.item_count, columns.excluded_count, columns.skipped_count, columns.stored_count) == (3, 2, 0, 3)
    assert routes_of(columns) == ["/predict"]


def test_spans_that_ended_too_long_ago_are_set_aside_and_counted(decoder: SpanDecoder) -> None:
    """The limit is exact, and impossible times are not called late."""
    body = trace_request(
        [span(kind=2, end_ns=END_NS + shift) for shift in (-1, 0, 1)] + [span(kind=2, end_ns=5, duration_ns=1)]
    )
    columns = decoder.decode(body.SerializeToString(), earliest_end_ns=END_NS, latest_end_ns=LATEST_NS)
    assert (columns.late_count, columns.invalid_count, columns.series_index.size, columns.stored_count) == (1, 1, 2, 2)


@pytest.mark.parametrize("key", ["url.path", "http.target", "http.url"])
def test_a_span_without_a_route_gets_one_from_its_path(decoder: SpanDecoder, key: str) -> None:
    """Values are taken out of the path; the same template is one series, whatever order the spans come in."""
    paths = ["/users/1", "/users/2?x=1", "/orders/7", "/users/3"]
    spans = [server_span(route=None, attributes={key: path}) for path in paths]
    for _ in range(2):
        assert routes_of(decode(decoder, trace_request(spans))) == [
            "/users/{id}",
            "/users/{id}",
            "/orders/{id}",
            "/users/{id}",
        ]


def test_paths_that_the_server_did_not_know_are_no_routes(decoder: SpanDecoder) -> None:
    """A scanner's guesses are one series."""
    spans = [
        server_span(route=None, status_code=404, attributes={"url.path": f"/{word}"})
        for word in ("admin", "login", "wp")
    ]
    assert routes_of(decode(decoder, trace_request(spans))) == ["", "", ""]


def test_made_up_routes_are_bounded() -> None:
    """Beyond the limit a span has no route, and costs no memory."""
    decoder = build_decoder(ProcessorSettings(max_path_templates=3))
    letters = "abcdefgh"
    spans = [server_span(route=None, attributes={"url.path": f"/{a}{b}"}) for a in letters for b in letters]
    assert len(set(routes_of(decode(decoder, trace_request(spans))))) == 4


def test_steps_of_a_model_are_told_apart_by_their_names(decoder: SpanDecoder) -> None:
    """An INTERNAL span with a model is a step; its name says which."""
    model = {"ml.model.name": "fraud"}
    spans = [span("preprocess", attributes=model), span("predict", attributes=model), span("predict", attributes=model)]
    columns = decode(decoder, trace_request([*spans, span("predict")]))
    steps = [columns.series[index] for index in columns.series_index]
    assert [(step.span_kind, step.model_name, step.operation) for step in steps] == [
        ("INTERNAL", "fraud", "preprocess"),
        ("INTERNAL", "fraud", "predict"),
        ("INTERNAL", "fraud", "predict"),
    ]
    assert columns.skipped_count == 1


@pytest.mark.parametrize("start_ns", [END_NS + 1, END_NS + 10**12, MAX_U64])
def test_negative_durations_count_as_zero(decoder: SpanDecoder, start_ns: int) -> None:
    """A span that starts after its end was stamped by two clocks; it is a call all the same."""
    skewed = server_span()
    skewed.start_time_unix_nano = start_ns
    assert decode(decoder, trace_request([skewed])).duration_ns.tolist() == [0]


@pytest.mark.parametrize("body", [b"\x0a\x05abc", b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x7f", b"not protobuf at all"])
def test_what_is_no_request_is_a_permanent_error(decoder: SpanDecoder, body: bytes) -> None:
    """The sender must not send it again, and the decoder goes on with the next."""
    with pytest.raises(PermanentError, match="ExportTraceServiceRequest"):
        decode(decoder, body)
    assert_equals_plain(decoder, trace_request(server_spans(3)).SerializeToString())


def test_a_broken_resource_or_attribute_is_a_permanent_error(decoder: SpanDecoder) -> None:
    """What the projection leaves unparsed is still checked where it is read."""
    good = trace_request([server_span()]).SerializeToString()
    at = good.index(b"http.route") + len(b"http.route") + 1
    assert ExportTraceServiceRequest.FromString(good)
    for broken in (good[:at] + b"\x7f" + good[at + 1 :], good.replace(b"service.name\x12", b"service.name\x17", 1)):
        with pytest.raises(PermanentError):
            decode(decoder, broken)


def test_a_resource_or_status_in_two_parts_is_merged(decoder: SpanDecoder) -> None:
    """Joined encodings of a message are its merger (protobuf, "Last One Wins"), for the projection as well."""
    one = trace_request([server_span()], resource("shop", service__version="1"))
    spans = one.resource_spans[0]
    second = ResourceSpans(resource=resource(None, deployment__environment="test"))
    inner = spans.SerializeToString() + second.SerializeToString()
    scope = ScopeSpans(spans=[Span(kind=Span.SPAN_KIND_SERVER, start_time_unix_nano=END_NS, end_time_unix_nano=END_NS)])
    halves = [Span(status=Status(code=Status.STATUS_CODE_ERROR)), Span(status=Status(message="no"))]
    split = scope.spans[0].SerializeToString() + b"".join(half.SerializeToString() for half in halves)
    inner += b"\x12" + _prefixed(b"\x12" + _prefixed(split))
    body = b"\x0a" + _prefixed(inner)
    columns = decode(decoder, body)
    assert columns.is_error.tolist() == [False, True]
    assert {(key.service_name, key.service_version, key.deployment_environment) for key in columns.series} == {
        ("shop", "1", "test")
    }
    assert_equals_plain(decoder, body)


def test_a_resource_without_a_service_name_still_counts(decoder: SpanDecoder) -> None:
    """No resource, a nameless one and a name that is no text: none of the spans is lost."""
    nameless = [resource(None), resource(None, host__name="a"), resource(["a"]), resource("")]  # type: ignore[arg-type]
    request = merged_request([(one, [server_span()]) for one in nameless])
    request.resource_spans.add().scope_spans.add().spans.append(server_span())
    assert {key.service_name for key in decode(decoder, request).series} == {"unknown_service"}
    numbered = decode(decoder, trace_request([server_span()], resource(42)))  # type: ignore[arg-type]
    assert numbered.series[numbered.series_index[0]].service_name == "42"
    assert_equals_plain(decoder, request.SerializeToString())


def test_error_messages_make_no_series_and_fill_no_cache(make_decoder: Callable[..., SpanDecoder]) -> None:
    """A status message that differs each time is not even looked at."""
    decoder = make_decoder(attribute_cache_size=64, combination_cache_size=64)
    spans = server_spans(1000, status_code=500)
    for index, one in enumerate(spans):
        one.status.message = f"no such order: {index}"
    columns = decode(decoder, trace_request(spans))
    assert len(columns.series) == 1
    assert columns.is_error.all()


def test_100_000_distinct_values_change_no_figure_with_small_caches(make_decoder: Callable[..., SpanDecoder]) -> None:
    """Caches that overflow all the time cost speed, never truth; what they hold stays bounded."""
    decoder = make_decoder(attribute_cache_size=256, resource_cache_size=4, combination_cache_size=128)
    rng = random.Random(5)
    bodies = []
    for number in range(50):
        spans = [
            server_span(
                route=f"/r{rng.randrange(60)}",
                status_code=rng.choice([200, 404, 500]),
                duration_ns=rng.randrange(10**9),
                end_ns=END_NS + rng.randrange(3 * 10**9),
                attributes={"client.port": number * 2000 + index, "url.path": f"/x/{number}/{index}"},
            )
            for index in range(1000)
        ]
        bodies.append(
            trace_request(spans, resource(f"shop-{number % 7}", service__instance__id=f"{number}")).SerializeToString()
        )
    assert_equals_plain(decoder, *bodies)
    assert len(decoder._attributes) <= 256
    assert len(decoder._resources) <= 4
    assert len(decoder._outcomes) <= 128 + 1000
    assert len(decoder._series) <= 128 + 1000


def test_columns_stay_valid_when_the_decoder_forgets(make_decoder: Callable[..., SpanDecoder]) -> None:
    """A batch decoded before a cache was emptied still names its series afterwards."""
    decoder = make_decoder(combination_cache_size=16)
    batches = [trace_request([server_span(route=f"/{n}/{i}") for i in range(20)]) for n in range(5)]
    columns = [decode(decoder, batch) for batch in batches]
    for number, part in enumerate(columns):
        assert [part.series[index].http_route for index in part.series_index] == [f"/{number}/{i}" for i in range(20)]
    assert columns[0].series is not columns[-1].series
    assert sum(point.calls for point in aggregate(columns)) == 100


def _prefixed(payload: bytes) -> bytes:
    size, length = b"", len(payload)
    while length >= 128:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return size + bytes([length]) + payload


KEYS = [
    "http.route",
    "http.request.method",
    "http.method",
    "http.response.status_code",
    "http.status_code",
    "ml.model.name",
    "ml.model.version",
    "http.target",
    "client.port",
    "",
]
attribute_values = st.one_of(
    st.none(),
    st.sampled_from(["/a", "/b", "GET", "get", "200", "500", "", "x\0y", "é"]),
    st.sampled_from([200, 204, 404, 499, 500, 599, 600, -1, 2**63 - 1]),
    st.sampled_from([200.0, 500.5, float("nan"), float("inf")]),
    st.booleans(),
    st.binary(max_size=3),
    st.lists(st.integers(0, 3), max_size=2),
    st.integers(0, 10**6),
)
# Lists, not dicts: the same key may come twice, and in any order.
attribute_lists = st.lists(st.tuples(st.sampled_from(KEYS), attribute_values), max_size=8)
resource_lists = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "service.name",
                "service.version",
                "service.instance.id",
                "deployment.environment",
                "deployment.environment.name",
                "ml.model.name",
                "host.name",
            ]
        ),
        attribute_values,
    ),
    max_size=5,
)
times = st.one_of(
    st.integers(END_NS - 3 * 10**9, END_NS + 3 * 10**9),
    st.sampled_from([0, 1, 946_684_800 * 10**9, 946_684_800 * 10**9 - 1, LATEST_NS, LATEST_NS + 1, 2**63, MAX_U64]),
)


@st.composite
def spans_of_any_shape(draw: st.DrawFn) -> Span:
    made = Span(
        name=draw(st.sampled_from(["GET /a", "", "http.route"])),
        kind=draw(st.sampled_from([2, 2, 2, 5, 0, 1, 3, 4])),
        start_time_unix_nano=draw(times),
        end_time_unix_nano=draw(times),
        trace_state="a=b",
        flags=1,
    )
    for key, value in draw(attribute_lists):
        made.attributes.extend(key_values({key: value}))
    if draw(st.booleans()):
        made.status.code = draw(st.sampled_from([0, 1, 2]))
        made.status.message = draw(st.sampled_from(["", "boom"]))
    if draw(st.booleans()):
        made.events.add(name="exception").attributes.extend(key_values({"http.route": "/not/this"}))
    return made


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    request = ExportTraceServiceRequest()
    for pairs in draw(st.lists(resource_lists, max_size=3)):
        resource_spans = request.resource_spans.add()
        for key, value in pairs:
            resource_spans.resource.attributes.extend(key_values({key: value}))
        for _ in range(draw(st.integers(0, 2))):
            resource_spans.scope_spans.add().spans.extend(draw(st.lists(spans_of_any_shape(), max_size=6)))
    return request.SerializeToString()


@UNHURRIED
@given(st.lists(requests(), max_size=4), st.booleans())
def test_any_requests_give_the_points_of_the_plain_reference(bodies: list[bytes], is_small: bool) -> None:
    """Decoding and adding up equals walking the generated classes with dicts and lists, also with tiny caches."""
    limits = {"attribute_cache_size": 16, "resource_cache_size": 1, "combination_cache_size": 16} if is_small else {}
    decoder = build_decoder(ProcessorSettings(**limits))
    assert_equals_plain(decoder, *bodies)
    assert_equals_plain(decoder, *reversed(bodies))
    for body in bodies:
        columns = decode(decoder, body)
        assert columns.item_count == columns.skipped_count + columns.invalid_count + columns.series_index.size
        assert columns.duration_ns.dtype == columns.end_ns.dtype == np.int64


@UNHURRIED
@given(st.data())
def test_mutilated_requests_end_in_columns_or_a_permanent_error(data: st.DataObject) -> None:
    """Whatever bytes come, nothing but `PermanentError` leaves the decoder."""
    body = bytearray(data.draw(requests()) or b"\0")
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(build_decoder(ProcessorSettings()), bytes(body[: data.draw(st.integers(0, len(body)))]))
    except PermanentError:
        pass

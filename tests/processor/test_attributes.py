"""Attributes looked up by their bytes: right in every encoding, bounded whatever comes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from processor.attributes import AttributeCache, ResourceCache
from processor.derivation import KEYS_OF, RESOURCE_KEYS
from processor.projection import load_projection
from telemetry import SpanKind
from tests.support.otlp import any_value, key_values, resource
from tests.support.plain_red import plain_value

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PROJECTION = load_projection()
SPAN_KEYS = KEYS_OF[SpanKind.SERVER]
KEYS = [*sorted(SPAN_KEYS), "http.target", "http.routes", "url.path", "", "client.port"]


def make_cache(limit: int = 1000) -> AttributeCache:
    return AttributeCache(SPAN_KEYS, PROJECTION.key_value.FromString, limit)


def found(cache: AttributeCache, raw: bytes) -> tuple[str, Any] | None:
    attribute = cache[raw]
    return None if attribute is None else (attribute.key, attribute.value)


def meant(raw: bytes) -> tuple[str, Any] | None:
    """What the generated class reads, if it is of interest."""
    pair = KeyValue.FromString(raw)
    value = plain_value(pair.value)
    return None if value is None or pair.key not in SPAN_KEYS else (pair.key, value)


def field(number: int, payload: bytes, *, wide: bool = False) -> bytes:
    """A length-delimited field; `wide` writes its length in more bytes than it needs, which is allowed."""
    length = len(payload)
    if wide or length >= 128:
        return bytes([number << 3 | 2, length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14]) + payload
    return bytes([number << 3 | 2, length]) + payload


values = st.one_of(
    st.none(),
    st.text(max_size=200),
    st.sampled_from(["http.route", "see http.route\x12", "200", "GET"]),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.binary(max_size=5),
    st.lists(st.integers(0, 9), max_size=3),
)


@st.composite
def encodings(draw: st.DrawFn) -> bytes:
    """A KeyValue in any encoding: fields repeated, reordered, unknown, empty or missing."""
    pieces = st.one_of(
        st.builds(field, st.just(1), st.sampled_from(KEYS).map(str.encode), wide=st.booleans()),
        st.builds(
            field, st.just(2), values.map(lambda value: any_value(value).SerializeToString()), wide=st.booleans()
        ),
        st.builds(field, st.just(9), st.sampled_from([b"http.route", b""])),
        st.just(bytes([8 << 3 | 0, 5])),
    )
    return b"".join(draw(st.lists(pieces, max_size=5)))


@UNHURRIED
@given(st.lists(encodings(), min_size=1, max_size=20), st.integers(1, 5))
def test_every_encoding_means_what_the_generated_class_reads(raws: list[bytes], limit: int) -> None:
    """Order, repetition, unknown fields and long lengths change nothing, asked once or again."""
    cache = make_cache(limit)
    for raw in raws + raws:
        assert found(cache, raw) == meant(raw)
        assert len(cache) <= limit


@UNHURRIED
@given(st.sampled_from(KEYS), st.lists(values, min_size=80, max_size=120))
def test_keys_whose_values_vary_are_still_read_right(key: str, several: list[Any]) -> None:
    """Once a key is known to vary, its further values are recognised without being remembered."""
    cache = make_cache()
    for index in range(200):
        assert cache[KeyValue(key="client.port", value=any_value(index)).SerializeToString()] is None
    for value in several:
        raw = KeyValue(key=key, value=any_value(value)).SerializeToString()
        assert found(cache, raw) == meant(raw)


def test_a_varying_key_hides_no_second_key_behind_it() -> None:
    """Protobuf lets the last of repeated fields win, also after a key that is known to be of no interest."""
    cache = make_cache()
    for index in range(200):
        assert cache[KeyValue(key="url.path", value=any_value(f"/{index}")).SerializeToString()] is None
    usual = KeyValue(key="url.path", value=any_value("/predict")).SerializeToString()
    assert found(cache, usual + field(1, b"http.route")) == ("http.route", "/predict")


@pytest.mark.parametrize("length", [1, 100, 130, 2000, 20000])
def test_unique_values_of_no_interest_leave_room_for_the_rest(length: int) -> None:
    """100 000 ports or paths neither grow the cache nor drive out what is read."""
    cache = make_cache(limit=500)
    route = KeyValue(key="http.route", value=any_value("/predict")).SerializeToString()
    first = cache[route]
    for index in range(100_000 if length == 1 else 3000):
        value = f"{index}".ljust(length, "x")
        assert cache[KeyValue(key="url.path", value=any_value(value)).SerializeToString()] is None
    assert len(cache) <= 500
    assert cache[route] is first


def test_unique_values_of_interest_are_bounded_too() -> None:
    """Even if every route is different, the cache keeps its size and the answers stay right."""
    cache = make_cache(limit=100)
    for index in range(10_000):
        raw = KeyValue(key="http.route", value=any_value(f"/{index}")).SerializeToString()
        assert found(cache, raw) == ("http.route", f"/{index}")
        assert len(cache) <= 100


def test_huge_attributes_are_read_and_not_kept() -> None:
    """The cache is bounded by number, so what is long is not remembered."""
    cache = make_cache()
    raw = KeyValue(key="http.route", value=any_value("x" * 100_000)).SerializeToString()
    assert found(cache, raw) == ("http.route", "x" * 100_000)
    assert not cache


def test_broken_text_is_read_with_replacement_characters() -> None:
    """One bad byte costs a character, not the batch."""
    raw = field(1, b"http.route") + field(2, field(1, b"/a\xff"))
    assert found(make_cache(), raw) == ("http.route", "/a\ufffd")


@pytest.mark.parametrize("raw", [b"\x0a\x0ahttp.route\x12\x7f", b"\x0a\x0ahttp.route\x12"])
def test_a_cut_off_attribute_of_interest_is_an_error(raw: bytes) -> None:
    """The bytes are no KeyValue, so the request is none."""
    with pytest.raises(DecodeError):
        make_cache()[raw]


def test_resources_are_read_once_and_bounded() -> None:
    """Only the attributes that are of interest are kept, of a bounded number of resources."""
    cache = ResourceCache(RESOURCE_KEYS, PROJECTION.resource.FromString, 10, 64)
    raw = resource("shop", service__version="2", os__type="a").SerializeToString()
    assert cache[raw].attributes == {"service.name": "shop", "service.version": "2"}
    assert cache[raw] is cache[raw]
    for index in range(100):
        assert cache[resource(f"shop-{index}").SerializeToString()].attributes == {"service.name": f"shop-{index}"}
        assert len(cache) <= 10


def test_the_builders_of_the_tests_agree_with_the_projection() -> None:
    """The usual values arrive as themselves."""
    cache = make_cache()
    attributes = {"http.route": "/a", "http.status_code": 200, "ml.model.version": 1.5, "ml.model.name": True}
    for pair in key_values(attributes):
        assert found(cache, pair.SerializeToString()) == (pair.key, attributes[pair.key])

"""The rules from attributes to series and outcome."""

from __future__ import annotations

import pytest

from processor.derivation import Scalar, http_status_code_of, is_error, series_of, text_of
from telemetry import SeriesKey, SpanKind

LIMIT = 64


def series(resource: dict[str, Scalar] | None = None, **span: Scalar) -> SeriesKey:
    attributes = {key.replace("__", "."): value for key, value in span.items()}
    return series_of(SpanKind.SERVER, resource or {}, attributes, LIMIT)


def test_old_and_new_http_conventions_name_the_same_series() -> None:
    """An instrumentation's upgrade does not start a new series."""
    new = series(http__request__method="GET", http__route="/a", http__response__status_code=200)
    old = series(http__method="GET", http__route="/a", http__status_code=200)
    assert new == old == SeriesKey("unknown_service", http_method="GET", http_route="/a", http_status_class="2xx")


def test_new_names_win_where_both_are_present() -> None:
    """Under `http/dup` the stable names count."""
    both = {"http.response.status_code": 200, "http.status_code": 500}
    assert http_status_code_of(both) == 200
    assert series(http__request__method="GET", http__method="POST").http_method == "GET"
    environments: dict[str, Scalar] = {"deployment.environment": "old", "deployment.environment.name": "new"}
    assert series(environments).deployment_environment == "new"
    assert series({"deployment.environment": "old"}).deployment_environment == "old"


def test_an_old_name_helps_where_the_new_one_says_nothing() -> None:
    """An unusable new value does not hide a usable old one."""
    assert http_status_code_of({"http.response.status_code": "none", "http.status_code": 404}) == 404
    assert series(http__request__method="", http__method="PUT").http_method == "PUT"


def test_a_span_names_its_model_before_its_resource_does() -> None:
    """A server with several models is told apart by its spans, one with a single model by its resource."""
    resource: dict[str, Scalar] = {"ml.model.name": "default", "ml.model.version": "1"}
    assert series(resource)[4:6] == ("default", "1")
    assert series(resource, ml__model__name="fraud")[4:6] == ("fraud", "1")


@pytest.mark.parametrize("name", [None, ""])
def test_a_missing_service_name_is_unknown_service(name: str | None) -> None:
    """Nothing is left out for want of a name."""
    assert series({} if name is None else {"service.name": name}).service_name == "unknown_service"


def test_the_raw_path_is_never_the_route() -> None:
    """A span without a template has no route, whatever else it says of its path."""
    key = series(http__request__method="GET", url__path="/users/42", http__target="/users/42")
    assert key.http_route == ""
    assert "42" not in "".join(key)


@pytest.mark.parametrize(
    ("value", "code", "status_class"),
    [
        (200, 200, "2xx"),
        ("404", 404, "4xx"),
        (503.0, 503, "5xx"),
        (100, 100, "1xx"),
        (599, 599, "5xx"),
        (99, 99, ""),
        (600, 600, ""),
        (-200, -200, ""),
        (2**63 - 1, 2**63 - 1, ""),
        ("two hundred", None, ""),
        ("٤٠٤", None, ""),
        ("1" * 5000, None, ""),
        ("", None, ""),
        (200.5, None, ""),
        (float("nan"), None, ""),
        (float("inf"), None, ""),
        (True, None, ""),
    ],
)
def test_status_codes_are_read_as_numbers_or_digits(value: Scalar, code: int | None, status_class: str) -> None:
    """Whatever is no status code has no class, and breaks nothing."""
    assert http_status_code_of({"http.status_code": value}) == code
    assert series(http__status_code=value).http_status_class == status_class


@pytest.mark.parametrize(
    ("status", "code", "failed"),
    [
        (0, 200, False),
        (0, 404, False),
        (0, 499, False),
        (0, 500, True),
        (2, 200, True),
        (2, None, True),
        (1, 503, True),
    ],
)
def test_errors_are_span_errors_and_5xx(status: int, code: int | None, failed: bool) -> None:
    """4xx alone are no errors of the service."""
    assert is_error(status, {} if code is None else {"http.status_code": code}) is failed


@pytest.mark.parametrize(
    ("method", "known"), [("GET", "GET"), ("get", "GET"), ("", ""), ("ZAP", "_OTHER"), ("_OTHER", "_OTHER")]
)
def test_made_up_methods_make_no_series(method: str, known: str) -> None:
    """A scanner that tries random methods adds one series, not hundreds."""
    assert series(http__method=method).http_method == known


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (7, "7"), (True, "true"), (1.5, "1.5"), (None, ""), ("a\0b", "a\ufffdb"), ("x" * 100, "x" * LIMIT)],
)
def test_texts_are_bounded_and_storable(value: Scalar | None, text: str) -> None:
    """Numbers are written out, NUL is replaced, and no text is longer than the limit."""
    assert text_of(value, LIMIT) == text


def test_consumers_are_series_of_their_own() -> None:
    """A worker's spans are not mixed with a server's."""
    assert series_of(SpanKind.CONSUMER, {}, {}, LIMIT).span_kind == "CONSUMER"

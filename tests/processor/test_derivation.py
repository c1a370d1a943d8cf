"""The rules from attributes to series and outcome."""

from __future__ import annotations

import pytest

from processor.derivation import Scalar, http_status_code_of, is_error, series_of, text_of
from telemetry import SeriesKey, SpanKind

LIMIT = 64


def series(resource: dict[str, Scalar] | None = None, **span: Scalar) -> SeriesKey:
    attributes = {key.replace("__", "."): value for key, value in span.items()}
    return of_kind(SpanKind.SERVER, resource, attributes)


def of_kind(kind: SpanKind, resource: dict[str, Scalar] | None, attributes: dict[str, Scalar]) -> SeriesKey:
    found = series_of(kind, resource or {}, attributes, LIMIT)
    assert found is not None
    return found


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
    assert is_error(SpanKind.SERVER, status, {} if code is None else {"http.status_code": code}) is failed


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
    assert of_kind(SpanKind.CONSUMER, {}, {}).span_kind == "CONSUMER"


SHAPES: list[tuple[str, SpanKind, dict[str, Scalar], dict[str, str]]] = [
    (
        "Go, otelhttp with both conventions",
        SpanKind.SERVER,
        {"http.request.method": "GET", "http.method": "GET", "http.route": "/a/{b}", "http.response.status_code": 404},
        {"http_method": "GET", "http_route": "/a/{b}", "http_status_class": "4xx"},
    ),
    (
        "ASP.NET leaves out the first slash",
        SpanKind.SERVER,
        {"http.request.method": "GET", "http.route": "api/items/{id}", "http.response.status_code": 200},
        {"http_route": "/api/items/{id}"},
    ),
    (
        "gRPC server in Java, old names",
        SpanKind.SERVER,
        {"rpc.system": "grpc", "rpc.service": "fraud.Scorer", "rpc.method": "Score", "rpc.grpc.status_code": 0},
        {"operation": "fraud.Scorer/Score", "http_route": "", "peer": ""},
    ),
    (
        "gRPC server, new names",
        SpanKind.SERVER,
        {"rpc.system.name": "grpc", "rpc.method": "fraud.Scorer/Score", "rpc.response.status_code": "OK"},
        {"operation": "fraud.Scorer/Score"},
    ),
    (
        "Kafka consumer",
        SpanKind.CONSUMER,
        {"messaging.system": "kafka", "messaging.destination.name": "orders"},
        {"operation": "orders"},
    ),
    (
        "a reply queue with a name of its own",
        SpanKind.CONSUMER,
        {"messaging.destination.name": "amq.gen-JzTY20", "messaging.destination.temporary": True},
        {"operation": "(temporary)"},
    ),
    (
        "a destination with a template",
        SpanKind.PRODUCER,
        {"messaging.system": "nats", "messaging.destination.template": "a.{id}", "messaging.destination.name": "a.42"},
        {"operation": "a.{id}", "peer": "nats"},
    ),
    (
        "an HTTP client without a named peer",
        SpanKind.CLIENT,
        {"http.request.method": "POST", "server.address": "features", "http.response.status_code": 200},
        {"peer": "features", "http_method": "POST", "http_status_class": "2xx", "operation": ""},
    ),
    (
        "a named peer wins over its address",
        SpanKind.CLIENT,
        {"service.peer.name": "features", "server.address": "10.0.0.7", "url.template": "/v1/{key}"},
        {"peer": "features", "http_route": "/v1/{key}"},
    ),
    (
        "a database, new names",
        SpanKind.CLIENT,
        {"db.system.name": "postgresql", "db.operation.name": "SELECT", "db.collection.name": "users"},
        {"peer": "postgresql", "operation": "SELECT users"},
    ),
    (
        "a database, old names",
        SpanKind.CLIENT,
        {"db.system": "redis", "db.operation": "HGET", "net.peer.name": "10.0.0.7"},
        {"peer": "redis", "operation": "HGET"},
    ),
    (
        "a large language model",
        SpanKind.CLIENT,
        {"gen_ai.provider.name": "some.provider", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m-7"},
        {"peer": "some.provider", "operation": "chat", "model_name": "m-7"},
    ),
    (
        "a step of a model",
        SpanKind.INTERNAL,
        {"ml.model.name": "fraud", "ml.model.version": "7"},
        {"model_name": "fraud", "model_version": "7", "operation": ""},
    ),
    (
        "a named step of a model",
        SpanKind.INTERNAL,
        {"ml.model.name": "fraud", "ml.operation.name": "predict_proba"},
        {"model_name": "fraud", "operation": "predict_proba"},
    ),
]


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"), [shape[1:] for shape in SHAPES], ids=[s[0] for s in SHAPES]
)
def test_shapes_in_the_wild(kind: SpanKind, attributes: dict[str, Scalar], expected: dict[str, str]) -> None:
    """What other languages, protocols and versions send maps to the same few fields."""
    found = of_kind(kind, {}, attributes)._asdict()
    assert found["span_kind"] == kind
    assert {field: found[field] for field in expected} == expected


def test_internal_spans_without_a_model_have_no_series() -> None:
    """Middleware, serialisation and the sending of responses are no figures of their own."""
    assert series_of(SpanKind.INTERNAL, {"ml.model.name": "fraud"}, {}, LIMIT) is None


@pytest.mark.parametrize(
    ("kind", "attributes", "failed"),
    [
        (SpanKind.CLIENT, {"http.response.status_code": 404}, True),
        (SpanKind.CLIENT, {"http.response.status_code": 302}, False),
        (SpanKind.SERVER, {"rpc.grpc.status_code": 3}, False),
        (SpanKind.SERVER, {"rpc.grpc.status_code": 13}, True),
        (SpanKind.SERVER, {"rpc.response.status_code": "UNAVAILABLE"}, True),
        (SpanKind.SERVER, {"rpc.response.status_code": "NOT_FOUND"}, False),
        (SpanKind.SERVER, {"http.response.status_code": 200, "rpc.grpc.status_code": 13}, True),
        (SpanKind.SERVER, {"http.response.status_code": 200, "rpc.grpc.status_code": 5}, False),
        (SpanKind.CLIENT, {"rpc.grpc.status_code": 5}, True),
        (SpanKind.CLIENT, {"http.response.status_code": 200, "rpc.grpc.status_code": 5}, True),
        (SpanKind.CLIENT, {"rpc.grpc.status_code": 0}, False),
        (SpanKind.CLIENT, {"rpc.response.status_code": "OK"}, False),
    ],
)
def test_a_callers_mistake_is_an_error_of_the_caller_only(
    kind: SpanKind, attributes: dict[str, Scalar], failed: bool
) -> None:
    """A client's 4xx is its error, a server's is not; gRPC's codes are divided the same way."""
    assert is_error(kind, 0, attributes) is failed

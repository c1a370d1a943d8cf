"""OTLP requests as watched model APIs send them, ready-made, with the account of what is in them.

Shared by the benchmarks that need realistic traffic; everything follows from a seed and the times given.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

ROUTES = ("/predict", "/predict/batch", "/items/{id}", "/explain")
SERVICES = 4
INSTANCES = 4  # of each service
SPANS_PER_REQUEST = 512  # what a Python SDK exports at once by default


@dataclass(frozen=True, slots=True)
class Prepared:
    """The bytes of a request of one service, and how many calls and errors (5xx) they tell of."""

    body: bytes
    service: str
    calls: int
    errors: int


def typical(
    seed: int,
    end_ns: int,
    *,
    within_s: float = 2.0,
    spans: int = SPANS_PER_REQUEST,
    service: str | None = None,
    has_unique_attributes: bool = False,
) -> Prepared:
    """Return a request as FastAPI under auto-instrumentation exports it: 11 attributes, one of them a random port.

    Spans end in the `within_s` seconds from `end_ns` on. With unique attributes, path, query, target and user agent
    differ in every span too.
    """
    rng = random.Random(seed)
    service = service or f"model-{seed % SERVICES}"
    instance = random.Random(f"{service} {seed // SERVICES % INSTANCES}").getrandbits(128)
    resource_spans = ResourceSpans()
    resource_spans.resource.attributes.extend(
        _key_values(
            {
                "service.name": service,
                "service.version": "1.2.0",
                "service.instance.id": f"{instance:032x}",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": "1.45.2",
            }
        )
    )
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "opentelemetry.instrumentation.fastapi"
    latest_ns = max(1, int(within_s * 1e9))
    for _ in range(spans):
        scope_spans.spans.append(_span(rng, end_ns + rng.randrange(latest_ns), has_unique_attributes))
    errors = sum(span.status.code == Status.STATUS_CODE_ERROR for span in scope_spans.spans)
    return Prepared(_request(resource_spans), service, spans, errors)


def one_call(service: str, end_ns: int) -> bytes:
    """Return a request with a single span, of a request to `/predict` that took 20 ms and ended at `end_ns`."""
    rng = random.Random(end_ns)
    resource_spans = ResourceSpans()
    resource_spans.resource.attributes.extend(_key_values({"service.name": service}))
    resource_spans.scope_spans.add().spans.append(
        _server_span(rng, "/predict", 200, end_ns, 20_000_000, {"http.route": "/predict"})
    )
    return _request(resource_spans)


def every_series(services: int, series: int, end_ns: int, *, first_service: int = 0) -> Prepared:
    """Return one request in which each of `services` services has one call in each of `series` series (no errors)."""
    rng = random.Random(end_ns)
    request = ExportTraceServiceRequest()
    for number in range(first_service, first_service + services):
        resource_spans = request.resource_spans.add()
        attributes = {"service.name": f"model-{number:02}", "service.version": "1.0", "service.instance.id": "i-1"}
        resource_spans.resource.attributes.extend(_key_values(attributes))
        spans = resource_spans.scope_spans.add().spans
        for index in range(series):
            route, code = ROUTES[index // 2 % len(ROUTES)], (200, 422)[index % 2]
            route = f"{route}/{index // (2 * len(ROUTES))}" if index >= 2 * len(ROUTES) else route
            spans.append(_server_span(rng, route, code, end_ns, _duration_ns(rng), {"http.route": route}))
    return Prepared(request.SerializeToString(), "", services * series, 0)


def _span(rng: random.Random, end_ns: int, has_unique_attributes: bool) -> Span:
    route = rng.choice(ROUTES)
    code = rng.choices([200, 422, 500], [97, 2, 1])[0]
    unique = f"{rng.getrandbits(64):016x}" if has_unique_attributes else ""
    attributes: dict[str, str | int] = {
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": 8000,
        "url.path": f"{route}{unique}",
        "http.route": route,
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "client.port": rng.randrange(30000, 60000),
        "user_agent.original": f"python-httpx/0.27{unique}",
    }
    if has_unique_attributes:
        attributes |= {"url.query": f"session={unique}", "http.target": f"{route}?session={unique}"}
    return _server_span(rng, route, code, end_ns, _duration_ns(rng), attributes)


def _server_span(
    rng: random.Random, route: str, code: int, end_ns: int, duration_ns: int, attributes: Mapping[str, str | int]
) -> Span:
    first, last = {"http.request.method": "POST"}, {"http.response.status_code": code}
    return Span(
        trace_id=rng.randbytes(16),
        span_id=rng.randbytes(8),
        name=f"POST {route}",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=end_ns - duration_ns,
        end_time_unix_nano=end_ns,
        attributes=_key_values({**first, **attributes, **last}),
        status=Status(code=Status.STATUS_CODE_ERROR) if code >= 500 else None,
        flags=0x100,
    )


def _duration_ns(rng: random.Random) -> int:
    return int(rng.lognormvariate(2, 0.7) * 1e6)


def _request(resource_spans: ResourceSpans) -> bytes:
    return ExportTraceServiceRequest(resource_spans=[resource_spans]).SerializeToString()


def _key_values(attributes: Mapping[str, str | int]) -> list[KeyValue]:
    return [_key_value(key, value) for key, value in attributes.items()]


@lru_cache(4096)
def _key_value(key: str, value: str | int) -> KeyValue:
    any_value = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    return KeyValue(key=key, value=any_value)

"""RED points the slow and plain way, for checking the fast one: the generated OTLP classes, dicts and lists.

Written from the rules, not from the processor's code, which it shares nothing with but the values it returns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from telemetry import ExponentialHistogram, RedPoint, SeriesKey

YEAR_2000_NS = 946_684_800_000_000_000
KINDS = {0: "INTERNAL", 1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
EXCLUDED = {
    "/health",
    "/healthz",
    "/healthcheck",
    "/livez",
    "/live",
    "/readyz",
    "/ready",
    "/startupz",
    "/ping",
    "/metrics",
}
METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}


def plain_red_points(bodies: Iterable[bytes], *, latest_end_ns: int) -> list[RedPoint]:
    """Return one point per series and second, in no particular order."""
    durations: defaultdict[tuple[SeriesKey, int], list[int]] = defaultdict(list)
    errors: defaultdict[tuple[SeriesKey, int], int] = defaultdict(int)
    for body in bodies:
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = plain_attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
                    if span.kind not in KINDS or min(start_ns, end_ns) < YEAR_2000_NS or end_ns > latest_end_ns:
                        continue
                    attributes = plain_attributes(span.attributes)
                    series = plain_series(span, resource, attributes)
                    if series is None or (series.span_kind == "SERVER" and series.http_route in EXCLUDED):
                        continue
                    group = series, end_ns // 10**9
                    durations[group].append(max(0, end_ns - start_ns))
                    threshold = {2: 500, 3: 400, 5: 500}.get(span.kind, 10**20)
                    errors[group] += span.status.code == 2 or (plain_status_code(attributes) or 0) >= threshold
    return [
        RedPoint(series, second, len(group), errors[series, second], ExponentialHistogram.of(group))
        for (series, second), group in durations.items()
    ]


def plain_attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    """Return the scalar attributes; the last of equal keys counts."""
    found = {}
    for pair in pairs:
        value = plain_value(pair.value)
        if value is not None:
            found[pair.key] = value
    return found


def plain_value(value: AnyValue) -> str | int | float | bool | None:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind in ("string_value", "int_value", "double_value", "bool_value") else None


def plain_series(span: Any, resource: dict[str, Any], attributes: dict[str, Any]) -> SeriesKey | None:
    """Return the series; of RPC, messaging and databases it knows nothing, which spans made for it must not mention."""

    def text(*values: Any) -> str:
        for value in values:
            if value is not None and value != "":
                shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
                return shown[:1024].replace("\0", "\ufffd")
        return ""

    kind = KINDS[span.kind]
    model = text(attributes.get("ml.model.name"))
    if kind == "INTERNAL" and not model:
        return None
    method = text(attributes.get("http.request.method"), attributes.get("http.method")).upper()
    has_http = kind in ("SERVER", "CLIENT", "CONSUMER")
    method = method if has_http else ""
    code = plain_status_code(attributes)
    route = _route(text(attributes.get("http.route"))) if kind in ("SERVER", "CONSUMER") else ""
    paths = [attributes[key] for key in ("url.path", "http.target", "http.url") if attributes.get(key)]
    if kind == "SERVER" and method and not route and code != 404 and paths:
        route = plain_template(str(paths[0]))
    return SeriesKey(
        text(resource.get("service.name")) or "unknown_service",
        text(resource.get("service.version")),
        text(resource.get("service.instance.id")),
        text(resource.get("deployment.environment.name"), resource.get("deployment.environment")),
        model or text(resource.get("ml.model.name")),
        text(attributes.get("ml.model.version"), resource.get("ml.model.version")),
        kind,
        method if method in METHODS or not method else "_OTHER",
        route,
        f"{str(code)[0]}xx" if has_http and code is not None and 100 <= code < 600 else "",
        operation=text(span.name) if kind == "INTERNAL" else "",
    )


def plain_template(path: str) -> str:
    """Return the path, values replaced, as far as paths of up to eight segments and 1024 characters go."""
    for mark in "?#;":
        path = path.split(mark)[0]
    if "://" in path:
        path = path[path.index("://") + 3 :]
        path = path[path.index("/") :] if "/" in path else ""
    return "/" + "/".join(part if _is_word(part) else "{id}" for part in path.split("/") if part)


def _is_word(part: str) -> bool:
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    digits = set("0123456789")
    if len(part) >= 8 and set(part) <= digits | set("abcdefABCDEF"):
        return False
    if part[0] == "v" and 2 <= len(part) <= 4 and set(part[1:]) <= digits:
        return True
    if part[0] not in letters:
        return False
    if len(part) <= 32 and set(part) <= letters | set("_.-"):
        return True
    return len(part) <= 17 and part[-1] in digits and set(part[:-1]) <= letters | set("_-")


def _route(route: str) -> str:
    return route if not route or route.startswith(("/", "*")) else "/" + route


def plain_status_code(attributes: dict[str, Any]) -> int | None:
    for key in ("http.response.status_code", "http.status_code"):
        value = attributes.get(key)
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, float) and value == value and abs(value) != float("inf") and value == int(value):
            return int(value)
        if isinstance(value, int):
            return value
        if isinstance(value, str) and value and len(value) <= 18 and set(value) <= set("0123456789"):
            return int(value)
    return None


def by_series_and_second(points: Iterable[RedPoint]) -> dict[tuple[SeriesKey, int], RedPoint]:
    """Return the points by identity, and fail if two have the same."""
    points = list(points)
    found = {(point.series, point.start_s): point for point in points}
    assert len(found) == len(points), "two points of the same series and second"
    return found

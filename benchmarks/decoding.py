"""How fast spans become RED points on one core, beside parsing alone and beside a plain walk over the OTLP classes.

All contenders take turns over the same bytes in one run, and the best of several rounds counts, because other work on
the machine can only slow a round down. Run by `make bench`, or alone as `python -m benchmarks.decoding`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from benchmarks._requests import SPANS_PER_REQUEST, typical
from processor.aggregation import aggregate
from processor.component import build_decoder
from processor.projection import load_projection
from processor.settings import ProcessorSettings
from telemetry import ExponentialHistogram, RedPoint, SeriesKey

BATCHES = 48
ROUNDS = 7
END_NS = 1_760_000_000_000_000_000


def run() -> list[dict[str, Any]]:
    """Return spans per second per core of each contender, and how much faster ours is, for two kinds of traffic."""
    rows: list[dict[str, Any]] = []
    for traffic, has_unique_attributes in (("typical", False), ("high-cardinality", True)):
        bodies = [typical(seed, END_NS, has_unique_attributes=has_unique_attributes).body for seed in range(BATCHES)]
        rates = _spans_per_s(_contenders(bodies))
        rows += [
            {"name": f"decoding {traffic}: {name}", "value": round(rate), "unit": "spans/s"}
            for name, rate in rates.items()
        ]
        ratio = rates["ours, decode and aggregate"] / rates["walk generated classes and aggregate"]
        rows.append({"name": f"decoding {traffic}: ours / walk", "value": round(ratio, 2), "unit": "x"})
    return rows


def _contenders(bodies: Sequence[bytes]) -> dict[str, Callable[[], object]]:
    parse_projection = load_projection().request.FromString
    decoder = build_decoder(ProcessorSettings())
    latest_end_ns = END_NS + 10**12
    return {
        "parse generated classes": lambda: [ExportTraceServiceRequest.FromString(body) for body in bodies],
        "parse projection": lambda: [parse_projection(body) for body in bodies],
        "walk generated classes and aggregate": lambda: _walk(bodies),
        "ours, decode and aggregate": lambda: aggregate(
            [decoder.decode(body, latest_end_ns=latest_end_ns) for body in bodies]
        ),
    }


def _spans_per_s(contenders: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    best_s = dict.fromkeys(contenders, float("inf"))
    for _ in range(ROUNDS):
        for name, contend in contenders.items():
            started = time.perf_counter()
            contend()
            best_s[name] = min(best_s[name], time.perf_counter() - started)
    return {name: BATCHES * SPANS_PER_REQUEST / seconds for name, seconds in best_s.items()}


def _walk(bodies: Sequence[bytes]) -> list[RedPoint]:
    """Derive the same points the straightforward way, with the classes that protoc generates."""
    durations_ns: defaultdict[tuple[SeriesKey, int], list[int]] = defaultdict(list)
    errors: defaultdict[tuple[SeriesKey, int], int] = defaultdict(int)
    for body in bodies:
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    if span.kind not in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER):
                        continue
                    attributes = _attributes(span.attributes)
                    code = attributes.get("http.response.status_code", 0)
                    series = SeriesKey(
                        service_name=resource.get("service.name", ""),
                        service_version=resource.get("service.version", ""),
                        service_instance_id=resource.get("service.instance.id", ""),
                        http_method=attributes.get("http.request.method", ""),
                        http_route=attributes.get("http.route", ""),
                        http_status_class=f"{code // 100}xx",
                    )
                    group = series, span.end_time_unix_nano // 10**9
                    durations_ns[group].append(span.end_time_unix_nano - span.start_time_unix_nano)
                    errors[group] += span.status.code == Status.STATUS_CODE_ERROR or code >= 500
    return [
        RedPoint(series, second, len(values), errors[series, second], ExponentialHistogram.of(values))
        for (series, second), values in durations_ns.items()
    ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


if __name__ == "__main__":
    for row in run():
        print(f"{row['name']:<65} {row['value']:>12,} {row['unit']}")

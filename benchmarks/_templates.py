"""Typical requests whose times can be moved: making one anew costs 10 ms, moving one 50 µs.

For benchmarks that send for a minute from the core that they measure on. A request that was moved is another one: its
bytes, and with them its batch id, differ.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks._requests import Prepared, every_series, typical

_EPOCH_NS = 1_760_000_000 * 10**9
_TIMES = struct.Struct("<BQBQ")
_START_TAG, _END_TAG = 0x39, 0x41  # fields 7 and 8 of a span, both fixed64


@dataclass(frozen=True, slots=True)
class Template:
    """A request, and where in its bytes the times of its spans are."""

    prepared: Prepared
    places: NDArray[np.int64]

    def ending_at(self, end_ns: int) -> Prepared:
        """Return the request with spans that ended in the second before `end_ns`."""
        delta_ns = end_ns - _EPOCH_NS - 10**9
        body = np.frombuffer(self.prepared.body, dtype=np.uint8).copy()
        cells = self.places[:, None] + np.arange(8)
        times = body[cells].view("<u8") + np.uint64(delta_ns)
        body[cells] = times.view(np.uint8)
        return Prepared(body.tobytes(), self.prepared.service, self.prepared.calls, self.prepared.errors)


def templates(count: int) -> list[Template]:
    """Make templates of typical requests of 4 services with 4 instances and 4 routes each."""
    return [_template(typical(seed, _EPOCH_NS, within_s=1)) for seed in range(count)]


def series_templates(services: int, series: int, parts: int) -> list[Template]:
    """Make requests that together have one call in each of `series` series of each of `services` services."""
    each = services // parts
    return [_template(every_series(each, series, _EPOCH_NS, first_service=part * each)) for part in range(parts)]


def _template(prepared: Prepared) -> Template:
    request = ExportTraceServiceRequest.FromString(prepared.body)
    places: list[int] = []
    position = 0
    spans = (span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans)
    for span in spans:
        times = _TIMES.pack(_START_TAG, span.start_time_unix_nano, _END_TAG, span.end_time_unix_nano)
        position = prepared.body.index(times, position)
        places += (position + 1, position + 10)
        position += len(times)
    return Template(prepared, np.array(places, dtype=np.int64))

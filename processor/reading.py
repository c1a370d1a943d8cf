"""From batches of any signal to the points that are committed: decoded one by one, added up together.

Used by `group_commit` in its worker thread; a batch that cannot be read is an error of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog

from processor.aggregation import aggregate
from processor.metric_decoder import DecodedMetrics, MetricDecoder
from processor.metric_series_limits import MetricSeriesLimits
from processor.red_series_limits import RedSeriesLimits
from processor.span_columns import SpanColumns, SpanDecoder
from telemetry import Batch, KeptSpan, NowNs, PermanentError, RedPoint, ServiceInstance, Signal
from telemetry.metric_points import MetricPoint, merge_metric_points

Decoded = SpanColumns | DecodedMetrics
"""What a batch holds; both kinds tell how many of its items became of what."""

_log = structlog.get_logger(__name__)


class Contents(NamedTuple):
    """What is committed of a group of batches."""

    points: list[RedPoint]
    metrics: list[MetricPoint]
    instances: frozenset[ServiceInstance]
    spans: list[KeptSpan]


class Reading:
    """Decoders, limits of series and limits of time. For one thread at a time."""

    def __init__(
        self,
        decoder: SpanDecoder,
        metric_decoder: MetricDecoder,
        limits: RedSeriesLimits,
        metric_limits: MetricSeriesLimits,
        *,
        now_ns: NowNs,
        max_future_ns: int,
        max_late_ns: int,
    ) -> None:
        self._decoder = decoder
        self._metric_decoder = metric_decoder
        self._limits = limits
        self._metric_limits = metric_limits
        self._now_ns = now_ns
        self._max_future_ns = max_future_ns
        self._max_late_ns = max_late_ns

    def decode_all(self, batches: Sequence[Batch]) -> list[Decoded | PermanentError]:
        """Return what each batch holds, or why it cannot be read."""
        now_ns = self._now_ns()
        return [self._decode(batch, now_ns - self._max_late_ns, now_ns + self._max_future_ns) for batch in batches]

    def contents_of(self, decoded: Iterable[Decoded]) -> Contents:
        """Return what to commit of all batches, within the limits of series."""
        decoded = list(decoded)
        spans = [one for one in decoded if isinstance(one, SpanColumns)]
        metrics = merge_metric_points(
            point for one in decoded if isinstance(one, DecodedMetrics) for point in one.points
        )
        instances = frozenset[ServiceInstance]().union(*(one.instances for one in decoded))
        kept = [span for one in spans for span in one.kept]
        points = self._limits.bounded(aggregate(spans))
        return Contents(points, self._metric_limits.bounded(metrics), instances, kept)

    def _decode(self, batch: Batch, earliest_ns: int, latest_ns: int) -> Decoded | PermanentError:
        try:
            if batch.signal is Signal.METRICS:
                return self._metric_decoder.decode(batch.body, earliest_ns=earliest_ns, latest_ns=latest_ns)
            return self._decoder.decode(batch.body, earliest_end_ns=earliest_ns, latest_end_ns=latest_ns)
        except PermanentError as error:
            return error
        except Exception as error:
            # A fault of ours, but it would come again with the same bytes, and must not hold up the neighbours.
            _log.exception("batch could not be decoded", batch_id=batch.batch_id.hex())
            return PermanentError(f"the batch cannot be decoded ({type(error).__name__}: {error})")

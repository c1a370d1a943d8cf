"""The questions people ask, and their answers; what pages, API and alerts need of the rooms below."""

from query.answers import (
    GroupBy,
    LatencyAnswer,
    LatencyStep,
    Problem,
    ProblemKind,
    RedAnswer,
    RedSeries,
    RedStep,
    RedTotal,
    ServicesAnswer,
    ServiceSummary,
    Status,
)
from query.blocks import nice_step_s
from query.component import Query
from query.metric_answers import Aggregation, MetricAnswer, MetricInfo, MetricsAnswer, MetricValues
from query.metric_component import MetricQuery
from query.overflow import OVERFLOW
from query.question import QuestionError
from query.settings import QuerySettings
from query.totals import SlidingTotals, WindowTotals
from storage.metric_ports import MetricFilter
from storage.ports import SeriesFilter, StorageUnavailableError

__all__ = [
    "OVERFLOW",
    "Aggregation",
    "GroupBy",
    "LatencyAnswer",
    "LatencyStep",
    "MetricAnswer",
    "MetricFilter",
    "MetricInfo",
    "MetricQuery",
    "MetricValues",
    "MetricsAnswer",
    "Problem",
    "ProblemKind",
    "Query",
    "QuerySettings",
    "QuestionError",
    "RedAnswer",
    "RedSeries",
    "RedStep",
    "RedTotal",
    "SeriesFilter",
    "ServiceSummary",
    "ServicesAnswer",
    "SlidingTotals",
    "Status",
    "StorageUnavailableError",
    "WindowTotals",
    "nice_step_s",
]

"""All names that the room shows to others; loaded when the first of them is asked for."""

from query.answers import (
    BreakdownAnswer,
    GroupBy,
    GroupTotal,
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
from query.health import severity_rank
from query.metric_answers import Aggregation, MetricAnswer, MetricInfo, MetricsAnswer, MetricValues
from query.metric_component import MetricQuery
from query.overflow import OVERFLOW
from query.question import QuestionError
from query.resources.answers import (
    InstancesAnswer,
    Owner,
    Resource,
    ResourceGroup,
    ResourceGrouping,
    ResourceIdentity,
    ResourcesAnswer,
    ResourceState,
    ServiceResources,
    ServiceStep,
    ServiceVerdicts,
    Usage,
    Verdict,
    VerdictKind,
    VerdictsAnswer,
)
from query.resources.bottlenecks import with_bottlenecks
from query.resources.component import ResourceFilter, ResourceQuery
from query.settings import QuerySettings
from query.totals import SlidingTotals, WindowTotals
from query.traces.answers import KeptCount, KeptRequest, TraceAnswer, TracesAnswer, TraceSpan
from query.traces.component import TraceFilter, TraceQuery
from storage.metric_ports import MetricFilter
from storage.ports import SeriesFilter, StorageUnavailableError

__all__ = [
    "OVERFLOW",
    "Aggregation",
    "BreakdownAnswer",
    "GroupBy",
    "GroupTotal",
    "InstancesAnswer",
    "KeptCount",
    "KeptRequest",
    "LatencyAnswer",
    "LatencyStep",
    "MetricAnswer",
    "MetricFilter",
    "MetricInfo",
    "MetricQuery",
    "MetricValues",
    "MetricsAnswer",
    "Owner",
    "Problem",
    "ProblemKind",
    "Query",
    "QuerySettings",
    "QuestionError",
    "RedAnswer",
    "RedSeries",
    "RedStep",
    "RedTotal",
    "Resource",
    "ResourceFilter",
    "ResourceGroup",
    "ResourceGrouping",
    "ResourceIdentity",
    "ResourceQuery",
    "ResourceState",
    "ResourcesAnswer",
    "SeriesFilter",
    "ServiceResources",
    "ServiceStep",
    "ServiceSummary",
    "ServiceVerdicts",
    "ServicesAnswer",
    "SlidingTotals",
    "Status",
    "StorageUnavailableError",
    "TraceAnswer",
    "TraceFilter",
    "TraceQuery",
    "TraceSpan",
    "TracesAnswer",
    "Usage",
    "Verdict",
    "VerdictKind",
    "VerdictsAnswer",
    "WindowTotals",
    "nice_step_s",
    "severity_rank",
    "with_bottlenecks",
]

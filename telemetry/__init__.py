"""The contracts: pure values and protocols without I/O.

Every room imports this one and this one imports none; what crosses from room to room is defined here.
"""

from typing import TYPE_CHECKING

from telemetry.batch import Batch, Signal
from telemetry.component import Component, Consumer, NowNs
from telemetry.counters import Counters, Figures
from telemetry.errors import ModelWatchError, PermanentError, RetryableError, StartError
from telemetry.kept_span import KeptAs, KeptSpan
from telemetry.late_names import late_names
from telemetry.process_report import ProcessReport
from telemetry.series import REQUEST_KINDS, SeriesKey, SpanKind
from telemetry.series_overflow import SeriesOverflow
from telemetry.service_instance import SeenInstance, ServiceInstance

if TYPE_CHECKING:
    from telemetry.exponential_histogram import ExponentialHistogram
    from telemetry.red_columns import RedColumns
    from telemetry.red_point import RedPoint, merge_red_points
else:  # what checks types would take any name for one that there is
    # These need numpy, which half of the processes have no other use for.
    _MODULES = {
        "ExponentialHistogram": "telemetry.exponential_histogram",
        "RedColumns": "telemetry.red_columns",
        "RedPoint": "telemetry.red_point",
        "merge_red_points": "telemetry.red_point",
    }
    __getattr__ = late_names(__name__, _MODULES.get)

__all__ = [
    "REQUEST_KINDS",
    "Batch",
    "Component",
    "Consumer",
    "Counters",
    "ExponentialHistogram",
    "Figures",
    "KeptAs",
    "KeptSpan",
    "ModelWatchError",
    "NowNs",
    "PermanentError",
    "ProcessReport",
    "RedColumns",
    "RedPoint",
    "RetryableError",
    "SeenInstance",
    "SeriesKey",
    "SeriesOverflow",
    "ServiceInstance",
    "Signal",
    "SpanKind",
    "StartError",
    "merge_red_points",
]

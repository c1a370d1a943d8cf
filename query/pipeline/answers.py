"""What there is to say of the pipeline, as plain values.

Made in `query/pipeline/`; the page and the API show them and compute nothing of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from telemetry import ProcessReport, SeriesOverflow

ProcessState = Literal["well", "failing", "silent", "ended"]
Balance = Literal["balanced", "in_flight", "surplus", "uncertain", "missing"]


@dataclass(frozen=True, slots=True)
class SignalFlow:
    """The items of one signal over a stretch of time, and where they went.

    received = stored + duplicate + late + invalid + discarded + rejected + dead_lettered + in_flight + unexplained

    `dead_lettered` are set aside in RabbitMQ; `refused` were given back to their senders for now and are not among
    those received. `tolerance` is how many items the reports may differ by, as they are not of one moment.
    """

    signal: str
    received: int
    stored: int
    duplicate: int
    late: int
    invalid: int
    discarded: int
    rejected: int
    dead_lettered: int
    refused: int
    in_flight: int
    unexplained: int
    tolerance: int
    balance: Balance


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process of ModelWatch: its last report, how it is, and how old the report is."""

    report: ProcessReport
    state: ProcessState
    age_s: float


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """One step of the course, from `time_s` on; rates are items of all signals. `None` where nothing was noted."""

    time_s: int
    received_per_s: float | None = None
    stored_per_s: float | None = None
    lag_s: float | None = None
    queue_batches: int | None = None
    p50_s: float | None = None
    p95_s: float | None = None


@dataclass(frozen=True, slots=True)
class TierUse:
    """How long a tier of the history, or `traces`, is kept, and what it takes up; `None` where that is not known."""

    name: str
    retention_s: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class PipelineAnswer:
    """The pipeline in [start_s, end_s). Without a figure, such as of a queue where there is none, it is `None`.

    `since_s` is from when on the flows were counted: later than the start if nothing was noted before. There are none
    for a range that is over and of which nothing was noted, as nobody knows what came then. Freshness is
    seconds from the end of the canary's span until it was seen at the query; the worst where several measure.
    """

    start_s: int
    end_s: int
    since_s: int
    step_s: int
    flows: tuple[SignalFlow, ...]
    processes: tuple[ProcessStatus, ...]
    steps: tuple[PipelineStep, ...]
    gauges: Mapping[str, float]
    """Those that are said of the whole, by the names of `telemetry/counters.py`; added up, or the worst of all."""
    overflows: tuple[SeriesOverflow, ...]
    canary_lost: int
    tiers: tuple[TierUse, ...] = ()
    """Finest first, the kept spans last; nothing while no processor runs."""

"""How many groups one evaluator judges per second, and how long from a bad request to its notification leaving.

The first on a SQLite history with ten thousand groups, every part of a round included: questions, states, transaction.
The second with receiver's bytes into a real intake, the in-process live feed, and the evaluator as `up` runs it, at its
default interval; requests turn bad at random moments, each for a service of its own, and the last part is the channel.
"""

from __future__ import annotations

import asyncio
import math
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from alerting.component import build
from alerting.notification import Notification
from alerting.notifier import Channel
from alerting.reading import Asking
from alerting.rules import Rule, Signal
from alerting.settings import AlertingSettings
from benchmarks._systems import Row
from processor.component import build as build_intake
from processor.progress import ProgressReport
from processor.settings import ProcessorSettings
from query import MetricQuery, Query, QuerySettings, ResourceQuery
from storage.component import (
    build_alert_store,
    build_in_process_live_feed,
    build_ingest_progress,
    build_sqlite_history,
)
from storage.ingest_progress import Progress
from storage.settings import StorageSettings
from telemetry import Batch, Counters, SeriesKey
from telemetry import Signal as OtlpSignal
from tests.support.alert_world import AlertWorld
from tests.support.calls import point
from tests.support.otlp import resource, server_spans, trace_request
from tests.support.waiting import eventually

SERVICES, ROUTES = 200, 50
SIGNALS = (Signal.LATENCY_P50, Signal.LATENCY_P95, Signal.LATENCY_P99, Signal.ERROR_RATE, Signal.CLIENT_ERROR_RATE)
RULES = 20
ROUNDS = 5
TRIALS = 60
OVER_S = 60.0


def run() -> list[Row]:
    """Return evaluations per second and the delay of notifications in seconds."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        rows = await _evaluations(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        return rows + await _delays(Path(folder))


async def _evaluations(folder: Path) -> list[Row]:
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{folder / 'modelwatch.db'}")
    await history.start()
    rules = [
        Rule(
            rule_id=f"rule-{number}",
            name="R",
            signal=SIGNALS[number % len(SIGNALS)],
            group_by=("service", "route"),
            warning=0.9,
            min_requests=1,
            interval_s=1,
        )
        for number in range(RULES)
    ]
    try:
        world = await AlertWorld(history, time.time_ns, *rules, max_groups=20_000).begin()  # type: ignore[arg-type]
        now_s = int(time.time())
        keys = [SeriesKey(f"s{one}", http_route=f"/r{two}") for one in range(SERVICES) for two in range(ROUTES)]
        for second in range(now_s - 60, now_s + 10, 10):
            points = [point(key, second, [0.01, 0.02, 0.05]) for key in keys]
            await world.commit(*points)
        costs_s, evaluated = [], 0
        for _ in range(ROUNDS):
            before = world.counters.total("alerting_evaluations")
            began = time.perf_counter()
            world.evaluator._tried_s = {}
            await world.progress.put(_beat())
            await world.evaluator.round(world.holder, world.fence)
            costs_s.append(time.perf_counter() - began)
            evaluated = world.counters.total("alerting_evaluations") - before
    finally:
        await history.stop()
    cost_s = sorted(costs_s)[len(costs_s) // 2]
    return [
        {"name": f"a round of {RULES} rules for {len(keys):,} groups each", "value": 1_000 * cost_s, "unit": "ms"},
        {"name": "group evaluations", "value": evaluated / cost_s, "unit": "1/s"},
    ]


class _Arrivals:
    """A channel that notes when the first notification of each service leaves."""

    def __init__(self) -> None:
        self.at_s: dict[str, float] = {}

    async def notify(self, notifications: Sequence[Notification]) -> None:
        for notification in notifications:
            for item in notification.items:
                self.at_s.setdefault(item.labels["service"], time.time())


async def _delays(folder: Path) -> list[Row]:
    counters, arrivals = Counters(), _Arrivals()
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{folder / 'modelwatch.db'}")
    live = build_in_process_live_feed(StorageSettings(), counters)
    query = Query(QuerySettings(), history, live)
    asking = Asking(query, MetricQuery(QuerySettings(), history), ResourceQuery(QuerySettings(), query, history))
    intake = build_intake(ProcessorSettings(), history, live, counters)
    report = ProgressReport(ProcessorSettings(), intake, build_ingest_progress(history))
    store = build_alert_store(history)
    channels = [Channel("bench", arrivals, max_per_minute=10_000)]
    alerting = build(
        AlertingSettings(default_rules=False), store, build_ingest_progress(history), asking, channels, counters
    )
    components = [history, live, intake, report, alerting]
    for component in components:
        await component.start()
    try:
        rule = Rule(rule_id="bench", name="Bench", signal=Signal.ERROR_RATE, critical=0.5)
        await store.documents.put_rule(rule.rule_id, rule.model_dump_json(), 0, 1)
        bad_s = dict(await asyncio.gather(*(_turn_bad(report, number) for number in range(TRIALS))))
        await eventually(lambda: len(arrivals.at_s) == TRIALS, timeout_s=60, what="every service was told of")
    finally:
        for component in reversed(components):
            await component.stop()
    delays = sorted(arrivals.at_s[service] - bad_s[service] for service in arrivals.at_s)
    return [
        {"name": f"bad request to notification leaving, P{share:g}", "value": _quantile(delays, share), "unit": "s"}
        for share in (50, 95, 100)
    ]


async def _turn_bad(consumer: ProgressReport, number: int) -> tuple[str, float]:
    """Wait for a random moment, let ten requests of a service fail, export them, and return when they ended."""
    await asyncio.sleep(random.Random(number).uniform(0, OVER_S))
    service, ended_s = f"bench-{number}", time.time()
    spans = server_spans(10, end_ns=int(ended_s * 1e9), status_code=500)
    body = trace_request(spans, resource(service)).SerializeToString()
    batch = Batch.of(OtlpSignal.TRACES, body, item_count=10, received_unix_nano=time.time_ns())
    await consumer.consume(batch)
    return service, ended_s


def _beat() -> Progress:
    return Progress(1, time.monotonic_ns(), 0, 0, "")


def _quantile(values: list[float], share: float) -> float:
    return values[max(math.ceil(share / 100 * len(values)) - 1, 0)]

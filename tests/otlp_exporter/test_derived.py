"""Derived metrics: exact over restarts, late calls and crashes, in each form, told by one process at a time."""

from __future__ import annotations

import asyncio
import json
import random
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from operator import ge
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from modelwatch.derived import alerts_of
from otlp_exporter.derived.component import DerivedExporter, DerivedSources
from otlp_exporter.derived.course import Course, advanced, begun, hours_to_read
from otlp_exporter.derived.request import OpenAlert
from otlp_exporter.derived.tally import Tally
from otlp_exporter.service_filter import ServiceFilter
from otlp_exporter.target_settings import TargetSettings
from query import Query, QuerySettings
from storage.absent_live_feed import AbsentLiveFeed
from storage.component import build_alert_store, build_export_ledger, build_postgres_history, build_sqlite_history
from storage.history import SqlHistory
from storage.settings import StorageSettings
from telemetry import Batch, Counters, ExponentialHistogram, RetryableError, SeriesKey
from telemetry.conventions import METRIC_OVERFLOW
from tests.support.calls import point
from tests.support.doubles import ManualClock
from tests.support.waiting import eventually

NOW_S = 1_700_000_000
HOUR_S = 3_600
OK = SeriesKey(
    "shop", "1", "a", "prod", "churn", "7", http_method="POST", http_route="/predict", http_status_class="2xx"
)
FAILED = OK._replace(http_status_class="5xx")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'modelwatch.db'}"
    else:
        yield request.getfixturevalue("postgres").fresh_database()


class World:
    """A history, and what was handed over."""

    def __init__(self, history: SqlHistory, clock: ManualClock) -> None:
        self.history = history
        self.clock = clock
        self.batches: list[Batch] = []
        self.errors: list[Exception] = []
        self.alerts: list[OpenAlert] = []
        self.running: list[DerivedExporter] = []

    async def commit(self, *points: Any) -> None:
        self.number = getattr(self, "number", 0) + 1
        await self.history.commit([self.number.to_bytes(16, "little")], points)

    async def hand_over(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append(batch)

    async def read_alerts(self) -> Sequence[OpenAlert]:
        return self.alerts

    def exporter(
        self, *, alerts: Any = None, lease_s: float = 0.5, services: Sequence[str] = ("*",), **derived: Any
    ) -> DerivedExporter:
        self.target = target = TargetSettings.model_validate(
            {
                "name": "t",
                "endpoint": "http://host:1",
                "signals": [],
                "services": services,
                "derived": {"interval_s": 5, **derived},
            }
        )
        # What was answered a moment ago is asked anew: the clock of the test stands still.
        query = Query(QuerySettings(history_cache_s=0), self.history, AbsentLiveFeed(), self.clock)
        sources = DerivedSources(
            query, alerts or self.read_alerts, lambda name: build_export_ledger(self.history, name)
        )
        assert target.derived is not None
        made = DerivedExporter(
            target, target.derived, sources, self.hand_over, Counters(), self.clock, lease_s=lease_s, tick_s=0.02
        )
        self.running.append(made)
        return made

    async def told(self, rounds: int) -> None:
        await eventually(lambda: len(self.batches) >= rounds)

    async def next_round(self, seconds: float = 60) -> None:
        rounds = len(self.batches)
        self.clock.advance(seconds)
        await self.told(rounds + 1)

    def requests(self) -> list[dict[str, Any]]:
        """Return by request and metric the points with the name of their service."""
        found = []
        for batch in self.batches:
            metrics: dict[str, list[tuple[str, Any]]] = defaultdict(list)
            for resource in ExportMetricsServiceRequest.FromString(batch.body).resource_metrics:
                service = {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"]
                for metric in resource.scope_metrics[0].metrics:
                    data = getattr(metric, str(metric.WhichOneof("data")))
                    metrics[metric.name] += [(service, one) for one in data.data_points]
            found.append(dict(metrics))
        return found


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    clock = ManualClock(NOW_S)
    build = build_sqlite_history if url.startswith("sqlite") else build_postgres_history
    history = build(StorageSettings(), url, now_ns=clock)
    await history.start()
    made = World(history, clock)
    yield made
    for one in made.running:
        await one.stop()
    await history.stop()


def attributes(one: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in one.attributes}


async def test_calls_and_durations_are_told_by_both_conventions(world: World) -> None:
    """Counts, errors, sums and buckets are exact, with the names of models; cumulative since a fixed start."""
    await world.commit(point(OK, NOW_S - 5, [0.02, 0.3, 20.0]), point(FAILED, NOW_S - 5, [0.3] * 2, errors=2))
    await world.exporter(metrics=["http", "spans"]).start()
    await world.told(1)
    [found] = world.requests()
    by_status = {
        attributes(one)["modelwatch.http.response.status_class"]: one
        for _, one in found["http.server.request.duration"]
    }
    good, bad = by_status["2xx"], by_status["5xx"]
    assert attributes(good) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": "2xx",
        "modelwatch.http.response.status_class": "2xx",
        "ml.model.name": "churn",
        "ml.model.version": "7",
    }
    assert attributes(bad)["error.type"] == "5xx"
    assert re.fullmatch("5..", attributes(bad)["http.response.status_code"]), "as dashboards look for errors"
    assert (good.count, bad.count, good.sum) == (3, 2, pytest.approx(20.32))
    assert [bound for bound, count in zip((*good.explicit_bounds, 99), good.bucket_counts, strict=True) if count] == [
        0.025,
        0.5,
        99,
    ]
    calls = {attributes(one)["status.code"]: one.as_int for _, one in found["traces.span.metrics.calls"]}
    assert calls == {"STATUS_CODE_UNSET": 3, "STATUS_CODE_ERROR": 2}
    spans = found["traces.span.metrics.duration"]
    outcomes = {attributes(one)["status.code"]: one.count for _, one in spans}
    assert outcomes == {"STATUS_CODE_UNSET": 3, "STATUS_CODE_ERROR": 2}
    assert {attributes(one)["span.name"] for _, one in spans} == {"POST /predict"}
    assert {attributes(one)["span.kind"] for _, one in spans} == {"SPAN_KIND_SERVER"}
    for points in (found["traces.span.metrics.calls"], spans):
        assert {attributes(one)["service.name"] for _, one in points} == {"shop"}
    start_ns = good.start_time_unix_nano
    await world.commit(point(OK, NOW_S - 700, [0.1]))
    await world.next_round()
    later = [one for _, one in world.requests()[1]["http.server.request.duration"]]
    assert sorted(one.count for one in later) == [2, 4], "late calls count as well"
    assert {one.start_time_unix_nano for one in later} == {start_ns}
    assert {one.time_unix_nano for one in later} == {(NOW_S + 60) * 10**9}


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
async def test_durations_have_an_outcome_where_it_is_known(world: World, temporality: str) -> None:
    """Calls that all failed, or of which none did since the last export; of others it is left out, and none is lost."""
    await world.commit(point(OK, NOW_S - 5, [0.1] * 3))
    await world.exporter(metrics=["spans"], temporality=temporality).start()
    await world.told(1)
    for errors in (2, 1):
        await world.commit(point(OK, NOW_S - 5, [0.1] * 2, errors=errors))
        await world.next_round()
    told = [
        {attributes(one).get("status.code", ""): one.count for _, one in found["traces.span.metrics.duration"]}
        for found in world.requests()
    ]
    good, failed = "STATUS_CODE_UNSET", "STATUS_CODE_ERROR"
    assert told == (
        [{good: 3}, {failed: 2}, {"": 2}]
        if temporality == "delta"
        else [{good: 3}, {good: 3, failed: 2}, {good: 3, failed: 2, "": 2}]
    )


async def test_the_class_as_a_code_can_be_left_out(world: World) -> None:
    """For backends that take nothing but a number there; the class has its own name still."""
    await world.commit(point(FAILED, NOW_S - 5, [0.3], errors=1))
    await world.exporter(metrics=["http"], status_code="none").start()
    await world.told(1)
    [(_, one)] = world.requests()[0]["http.server.request.duration"]
    assert "http.response.status_code" not in attributes(one)
    assert attributes(one)["modelwatch.http.response.status_class"] == "5xx"


def test_a_course_from_before_outcomes_goes_on() -> None:
    """What an earlier version told of a group is in its totals, without an outcome; what comes has one."""
    key = ("g",)
    document = {"form": 1, "until_s": NOW_S, "seen": [], "told": [[*key, NOW_S, NOW_S, [5], [4], 1, 9]], "alerts": []}
    course = Course.from_bytes(zlib.compress(json.dumps(document).encode()))
    hours = {NOW_S - NOW_S % HOUR_S: {key: Tally({7: 2}, 0, 20)}}
    after, _ = advanced(course, hours, NOW_S + 60, max_groups=3)
    told = Course.from_bytes(after.to_bytes()).told[key].total
    assert (told.mixed, told.good) == (Tally({5: 4}, 1, 9), Tally({7: 2}, 0, 20))
    assert told.total.calls == 6


async def test_deltas_add_up_over_restarts_and_crashes(world: World) -> None:
    """Whatever comes late, whoever goes on, whatever hand-over fails: each call is in exactly one of the requests."""
    derived: dict[str, Any] = {"metrics": ["spans"], "temporality": "delta", "histogram": "exponential"}
    exporter = world.exporter(**derived)
    await world.commit(point(OK, NOW_S - 5, [0.1, 0.0, 3.0]))
    await exporter.start()
    await world.told(1)
    await world.commit(point(OK, NOW_S - 700, [0.2] * 2))
    await world.next_round()
    await exporter.stop()
    world.clock.advance(5 * HOUR_S)
    await world.commit(point(OK, NOW_S + 2 * HOUR_S, [0.4] * 5))
    # Written and not handed over: as a crash in between leaves it.
    world.errors = [RetryableError("no queue")]
    second = world.exporter(**derived)
    await second.start()
    await world.told(3)
    await eventually(lambda: not world.errors)
    await world.commit(point(OK, world.clock.now_s, [0.4]))
    await world.next_round()
    points = [[one for _, one in found["traces.span.metrics.duration"]] for found in world.requests()]
    assert [[one.count for one in ones] for ones in points] == [[3], [2], [5], [1]]
    assert sum(one.sum for ones in points for one in ones) == pytest.approx(5.9)
    assert points[0][0].zero_count == 1
    assert points[0][0].scale == 5, "as fine as 160 buckets allow"
    assert sum(points[0][0].positive.bucket_counts) == 2
    [[first], [next_], *_] = points
    assert next_.start_time_unix_nano == first.time_unix_nano


async def test_what_a_dead_process_wrote_the_next_one_hands_over(world: World) -> None:
    """The very same request; and while one lives, the other tells nothing."""
    await world.commit(point(OK, NOW_S - 5, [0.1]))
    world.errors = [RetryableError("no queue")] * 10_000
    first, second = (world.exporter(metrics=["spans"], temporality="delta") for _ in range(2))
    await first.start()
    await eventually(lambda: len(world.errors) < 9_990)
    await second.start()
    assert first._task is not None
    task, first._task = first._task, None
    task.cancel()  # dies without a word
    await asyncio.wait({task})
    world.errors = []
    await world.told(1)
    await world.commit(point(OK, NOW_S, [0.1] * 2))
    await world.next_round()
    counts = [found["traces.span.metrics.duration"][0][1].count for found in world.requests()]
    assert counts == [1, 2]


async def test_more_groups_than_are_told_come_and_go_and_no_call_is_told_twice(world: World) -> None:
    """The overflow is what has no name of its own, whichever groups are the largest of the moment."""
    routes = [OK._replace(http_route=f"/{number}") for number in range(15)]
    chance = random.Random(5)
    calls = 0
    for round_ in range(5):
        points = [point(one, NOW_S - 30 + 6 * round_, [0.1] * chance.randrange(1, 40)) for one in routes]
        calls += sum(one.calls for one in points)
        await world.commit(*points)
        if round_ == 0:
            await world.exporter(metrics=["spans"], temporality="delta", max_groups=1).start()
            await world.told(1)
        else:
            await world.next_round(6)
    points_told = [one for found in world.requests() for _, one in found["traces.span.metrics.duration"]]
    assert sum(one.count for one in points_told) == calls
    assert len({attributes(one).get("span.name") for one in points_told}) == 2


async def test_services_that_a_target_does_not_want_take_no_places(world: World) -> None:
    """Their groups are not told, nor added up; what the wanted have beyond the limit passes the filter on the way."""
    others = [point(OK._replace(http_route=f"/{number}"), NOW_S - 5, [0.1] * 9) for number in range(5)]
    mine = [point(OK._replace(service_name="zz", http_route=f"/{n}"), NOW_S - 5, [0.1]) for n in range(3)]
    await world.commit(*others, *mine)
    await world.exporter(metrics=["spans"], services=["zz"], max_groups=1).start()
    await world.told(1)
    passed = ServiceFilter(world.target.services, (), (METRIC_OVERFLOW,)).apply(world.batches[0].body)
    assert passed == world.batches[0].body
    [found] = world.requests()
    told = {service: one.count for service, one in found["traces.span.metrics.duration"]}
    assert told == {"zz": 1, METRIC_OVERFLOW: 2}


async def test_no_call_is_left_out_of_a_metric_for_want_of_a_name(world: World) -> None:
    """HTTP durations have the overflow of the processor and that of the export; its parts are not all known."""
    named = [point(OK._replace(http_route=f"/{number}"), NOW_S - 5, [0.1]) for number in range(4)]
    beyond = OK._replace(http_method="", http_route=METRIC_OVERFLOW, overflow="true")
    await world.commit(point(beyond, NOW_S - 5, [0.1] * 7), *named)
    await world.exporter(metrics=["http", "spans"], max_groups=2).start()
    await world.told(1)
    [found] = world.requests()
    http = [one for _, one in found["http.server.request.duration"]]
    assert sum(one.count for one in http) == 11
    assert [one.count for one in http if attributes(one) == {METRIC_OVERFLOW: "true"}] in ([3], [9])
    assert sum(one.count for _, one in found["traces.span.metrics.duration"]) == 11


async def test_an_alert_is_one_while_it_is_open_and_then_zero(world: World) -> None:
    """Once, so that a backend need not guess; and it belongs to the service that it is about."""
    alert = OpenAlert("shop", (("modelwatch.alert.rule", "slow"), ("modelwatch.alert.phase", "firing")))
    world.alerts = [alert]
    await world.exporter(metrics=["alerts"]).start()
    await world.told(1)
    world.alerts = []
    await world.next_round()
    [[(service, open_)], [(_, over)]] = [found["modelwatch.alert.state"] for found in world.requests()]
    assert (service, open_.as_int, over.as_int) == ("shop", 1, 0)
    assert attributes(open_) == attributes(over) == dict(alert.attributes)
    world.clock.advance(600)
    world.alerts = [alert]
    await world.told(3)
    assert world.requests()[2]["modelwatch.alert.state"][0][1].as_int == 1


async def test_there_is_nothing_to_tell_of_alerts_where_there_are_none(world: World) -> None:
    """The store of alerts is asked, and no request is made of nothing."""
    counters_before = len(world.batches)
    exporter = world.exporter(metrics=["alerts"], alerts=alerts_of(build_alert_store(world.history)))
    await exporter.start()
    await eventually(lambda: exporter._counters.total("forward_derived_rounds") == 1)
    assert len(world.batches) == counters_before


@pytest.mark.parametrize("seed", range(6))
def test_every_call_is_told_once_however_late(seed: int) -> None:
    """Against a plain count: over hours, stops and more groups than are told; what is told never falls."""
    chance = random.Random(seed)
    course, now_s, arrived = begun(NOW_S), NOW_S, []
    told: Counter[tuple[str, ...]] = Counter()
    last: dict[tuple[str, ...], tuple[int, ...]] = {}
    for _ in range(60):
        now_s += chance.choice([10, 60, 600, 1800, 3 * HOUR_S])
        for _ in range(chance.randrange(30)):
            call_s = now_s - chance.choice([0, 0, 5, 100, 2 * HOUR_S - 60])
            arrived.append((max(call_s, NOW_S), (chance.choice("abcdef"),), chance.randrange(10**9)))
        hours: dict[int, dict[tuple[str, ...], Tally]] = {}
        for hour_s in hours_to_read(course, now_s):
            tallies: dict[tuple[str, ...], list[int]] = defaultdict(list)
            for call_s, key, duration_ns in arrived:
                if hour_s <= call_s < hour_s + HOUR_S:
                    tallies[key].append(duration_ns)
            if chance.random() < 0.1 and hour_s >= now_s - 2 * HOUR_S:
                tallies.clear()  # a reader that lags says less than before; it may be asked again
            hours[hour_s] = {
                key: Tally.of(ExponentialHistogram.of(ns), sum(one % 3 == 0 for one in ns))
                for key, ns in tallies.items()
            }
        course, news = advanced(Course.from_bytes(course.to_bytes()), hours, now_s, max_groups=3)
        told.update({key: new.total.calls for key, new in news.items()})
        for key, one in course.told.items():
            parts = (one.total.good.calls, one.total.failed.calls, one.total.mixed.calls)
            assert now_s - one.since_s < 86_400 or all(map(ge, parts, last.get(key, (0, 0, 0))))
            last[key] = parts
        assert len(course.told) <= 4, "three, and the overflow"
        assert len(course.seen) <= 3
    now_s += 10
    complete = {
        hour_s: {
            key: Tally.of(
                ExponentialHistogram.of([ns for s, k, ns in arrived if k == key and hour_s <= s < hour_s + HOUR_S]), 0
            )
            for key in {key for _, key, _ in arrived}
        }
        for hour_s in hours_to_read(course, now_s)
    }
    _, news = advanced(course, complete, now_s, max_groups=3)
    told.update({key: new.total.calls for key, new in news.items()})
    assert sum(told.values()) == len(arrived)

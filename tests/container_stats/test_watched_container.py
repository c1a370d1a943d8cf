"""One container over its life: states, kills for want of memory, usage between samples, starts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from container_stats.container_info import ContainerInfo, info_of
from container_stats.readings import Subject
from container_stats.watched_container import WatchedContainer
from tests.container_stats.test_container_info import inspected
from tests.container_stats.test_frames import frame

NOW_NS = 1_763_626_531_000_000_000  # two seconds after the frame of cgroup v2


def info(**changes: Any) -> ContainerInfo:
    return replace(info_of(inspected(), ()), **changes)


def subjects(container: WatchedContainer, now_s: float = 0.0) -> list[Subject]:
    return list(container.subjects("host", "docker", now_s, NOW_NS))


def values(container: WatchedContainer, metric: str, now_s: float = 0.0) -> dict[tuple[str, ...], float]:
    """Return a metric's values by those of its attributes."""
    return {
        tuple(str(value) for _, value in reading.attributes): reading.value
        for subject in subjects(container, now_s)
        for reading in subject.readings
        if reading.metric == metric
    }


def later(seconds: float, cpu_s: float) -> bytes:
    """Return the frame of cgroup v2 at a later time, with more CPU time."""
    whole = frame("docker-cgroup-v2")
    whole["read"] = f"2026-11-20T08:15:{31.25 + seconds:012.9f}Z"
    whole["cpu_stats"]["cpu_usage"]["total_usage"] += int(cpu_s * 1e9)
    return json.dumps(whole).encode()


def test_states_that_are_over_are_told_as_zero() -> None:
    """The present state is the one with the value 1, whatever was told before."""
    container = WatchedContainer(info(), 0)
    container.take_info(info(state="paused"), 0)
    container.take_info(info(state="exited", exit_code=137), 0)
    assert values(container, "container.state") == {("exited",): 1, ("paused",): 0, ("running",): 0}
    assert values(container, "container.exit_code") == {(): 137}
    assert not values(container, "container.uptime")


def test_health_is_told_like_a_state() -> None:
    """The check's present answer is the one with the value 1."""
    container = WatchedContainer(info(health="starting"), 0)
    container.take_info(info(health="healthy"), 0)
    assert values(container, "container.health") == {("healthy",): 1, ("starting",): 0}


def test_a_burst_of_oom_events_is_one_kill() -> None:
    """The engine tells one kill by many events; the next kill comes later than they do."""
    container = WatchedContainer(info(), 0)
    for now_s in (10.0, 10.01, 10.05, 10.1, 20.0, 20.1):
        container.take_oom(now_s)
    container.take_info(info(state="exited", was_oom_killed=True), 20.2)
    assert values(container, "container.memory.oom_kills") == {(): 2}


def test_a_kill_without_an_event_counts_once() -> None:
    """What the inspection says counts where no event came, once for each run, and the event after it does not."""
    container = WatchedContainer(info(), 0)
    killed = info(state="exited", was_oom_killed=True)
    container.take_info(killed, 5)
    container.take_oom(5.1)
    container.take_info(killed, 6)
    assert values(container, "container.memory.oom_kills") == {(): 1}
    again = NOW_NS - 10**9
    container.take_info(info(started_unix_nano=again), 7)
    container.take_info(replace(killed, started_unix_nano=again), 9)
    assert values(container, "container.memory.oom_kills") == {(): 2}


def test_cores_are_told_since_the_sample_before() -> None:
    """The first sample goes by what the frame says of the one before it, later ones by the sample before."""
    container = WatchedContainer(info(), 0)
    container.take_frame(later(0, 0), 100)
    assert values(container, "container.cpu.usage", 100) == {(): 1.5}
    container.take_frame(later(10, 2.5), 110)
    assert values(container, "container.cpu.usage", 110) == {(): 0.25}


def test_a_frame_is_told_once() -> None:
    """Without a new frame there is nothing new to tell, and an old one is not told as if it were of now."""
    container = WatchedContainer(info(), 0)
    container.take_frame(later(0, 0), 100)
    assert len(subjects(container, 101)) == 2
    assert len(subjects(container, 102)) == 1
    container.take_frame(later(1, 1), 103)
    assert not WatchedContainer(info(), 100).is_missing(101)  # the first frame takes a second to come
    assert not container.is_missing(110)
    assert container.is_missing(120)
    assert len(subjects(container, 120)) == 1


def test_a_new_start_begins_anew() -> None:
    """Usage is not told across a restart, and totals name the new start; restarts count on since the creation."""
    container = WatchedContainer(info(), 0)
    container.take_frame(later(0, 0), 100)
    subjects(container, 100)
    container.take_info(info(started_unix_nano=NOW_NS - 10**9, restarts=4), 101)
    assert len(subjects(container, 101)) == 1
    fresh = json.loads(later(5, -7.4))
    fresh["precpu_stats"]["cpu_usage"]["total_usage"] = 0
    container.take_frame(json.dumps(fresh).encode(), 105)
    lifecycle, usage = subjects(container, 105)
    assert usage.start_unix_nano == NOW_NS - 10**9
    assert lifecycle.start_unix_nano == info().created_unix_nano
    assert not {reading.metric for reading in usage.readings} & {"container.cpu.usage"}


def test_a_container_that_is_gone_says_so() -> None:
    """The last word is the state "removed", with all others at zero."""
    container = WatchedContainer(info(), 0)
    readings = container.removal("host", "docker", NOW_NS).readings
    assert {dict(reading.attributes)["container.state"]: reading.value for reading in readings} == {
        "running": 0,
        "removed": 1,
    }

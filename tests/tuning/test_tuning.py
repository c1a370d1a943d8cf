"""Settings that are changed while ModelWatch runs: on both databases, in every process, over a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelwatch.settings import Settings
from modelwatch.tunables import TUNABLES
from storage.component import build_setting_changes
from storage.history import SqlHistory
from storage.setting_changes import KEPT_CHANGES
from telemetry import StartError
from tests.storage.conftest import history, postgres_database, postgres_store, sqlite_store, store  # noqa: F401
from tests.support.waiting import eventually
from tuning.component import Tuning
from tuning.desk import TuningDesk, value_of
from tuning.settings import TuningSettings
from tuning.tunable import BadValueError, UnknownSettingError, value_at, with_values

TARGET = "query.apdex_target_s"


class World:
    """Processes on one database, each with settings of its own."""

    def __init__(self, history: SqlHistory) -> None:  # noqa: F811
        self.history = history
        self.changes = build_setting_changes(history)
        self.running: list[Tuning[Settings]] = []

    async def process(self, **given: Any) -> tuple[Tuning[Settings], TuningDesk]:
        """Start a process that was given these settings, and return the desk in it."""
        tuning = Tuning(TuningSettings(refresh_interval_s=0.2), Settings(**given), TUNABLES, self.changes)
        await tuning.start()
        self.running.append(tuning)
        return tuning, TuningDesk(tuning, self.changes, lambda: 1_700_000_000_000_000_000)


@pytest.fixture
async def world(history: SqlHistory) -> AsyncIterator[World]:  # noqa: F811
    made = World(history)
    yield made
    for tuning in made.running:
        await tuning.stop()


async def test_a_change_holds_in_every_process_and_after_a_restart(world: World) -> None:
    """Over what each was started with; put back, each has that again. Who listens is told, once for each change."""
    one, desk = await world.process()
    other, _ = await world.process(query={"apdex_target_s": 2})
    heard: list[float] = []
    other.listen(lambda now: now.query, lambda query: heard.append(query.apdex_target_s))
    found = await desk.change(TARGET, 0.25, "mei")
    assert (found.value, found.start_value, found.is_changed) == (0.25, 0.5, True)
    assert one.current.query.apdex_target_s == 0.25
    await eventually(lambda: other.current.query.apdex_target_s == 0.25, what="the other process knows")
    later, desk_later = await world.process(query={"apdex_target_s": 3})
    assert later.current.query.apdex_target_s == 0.25
    found = await desk_later.reset(TARGET, "ana")
    assert (found.value, found.is_changed) == (3, False)
    assert found.change is not None
    assert found.change.changed_by == "ana"
    await eventually(lambda: other.current.query.apdex_target_s == 2, what="the other process has its own again")
    assert heard == [0.25, 2]
    await desk_later.reset(TARGET, "ana")
    listed = [(one.name, value_of(one.before), value_of(one.value), one.changed_by) for one in await desk.changes(9)]
    assert listed == [(TARGET, 0.25, None, "ana"), (TARGET, 0.5, 0.25, "mei")]


BAD: list[tuple[str, Any, str]] = [
    (TARGET, 0, "greater than or equal to 0.001"),
    (TARGET, "fast", "valid number"),
    (TARGET, None, "valid number"),
    (TARGET, float("nan"), "finite"),
    (TARGET, float("inf"), "finite"),
    (TARGET, "9" * 30_000, "longer"),
    ("query.apdex_targets_s", {"a": float("inf")}, "finite"),
    ("query.apdex_targets_s", {"a": -1}, "greater"),
    ("query.apdex_targets_s", {"\ud800": 1}, "cannot be kept"),
    ("query.p95_degraded_s", 1.5, "p95_critical_s must not be below p95_degraded_s"),
    ("storage.points_retention_s", 10**30, "less than or equal"),
    ("storage.max_traces_bytes", 1.5, "integer"),
    ("log.level", "loud", "debug"),
    ("self_watch.canary_is_enabled", "perhaps", "boolean"),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD, ids=[f"{name}-{words}" for name, _, words in BAD])
async def test_what_would_be_refused_at_the_start_is_refused(name: str, value: Any, words: str) -> None:
    """With the words of the settings' own bounds, and nothing is kept."""
    tunable = next(one for one in TUNABLES if one.name == name)
    tuning = Tuning(TuningSettings(), Settings(), TUNABLES, _NoChanges())  # type: ignore[arg-type]
    with pytest.raises(BadValueError, match=words):
        await TuningDesk(tuning, _NoChanges()).change(tunable.name, value, "")  # type: ignore[arg-type]


class _NoChanges:
    """A store in which nothing was changed, and that takes nothing."""

    async def latest_id(self) -> int:
        return 0


async def test_only_what_is_meant_to_be_can_be_changed(world: World) -> None:
    """Addresses, secrets and the rest stay as they were started with."""
    _, desk = await world.process()
    for name in ("database_url", "query", "query.max_steps", "query.apdex_target_s.x", "", "__class__"):
        with pytest.raises(UnknownSettingError):
            await desk.change(name, 1, "")
        with pytest.raises(UnknownSettingError):
            await desk.reset(name, "")


def test_every_one_of_them_can_be_set_to_what_it_is() -> None:
    """The tree that comes of it is the same, and what was given at the start is still known as such."""
    started = Settings(query={"apdex_target_s": 2}, alerts={"channels": "[{name: a, url: 'json://h/x'}]"})
    for one in TUNABLES:
        made = with_values(started, {one.path: value_at(started, one.path)})
        assert made == started
        assert made.alerts.channels == started.alerts.channels
        assert made.dash.model_fields_set <= {"refresh_interval_s", "stale_after_s"}


async def test_two_that_depend_on_each_other_may_be_changed_one_after_the_other(world: World) -> None:
    """Also where a process begins with other values; one that does not fit there is said, and the others hold."""
    _, desk = await world.process()
    await desk.change("query.p95_critical_s", 4, "mei")
    await desk.change("query.p95_degraded_s", 2, "mei")
    with pytest.raises(BadValueError, match="must not be below"):
        await desk.reset("query.p95_critical_s", "mei")
    same, _ = await world.process(query={"p95_degraded_s": 0.1, "p95_critical_s": 0.2})
    assert (same.current.query.p95_degraded_s, same.current.query.p95_critical_s) == (2, 4)
    await world.changes.add("query.p95_degraded_s", None, "2", "", 0)
    odd, desk = await world.process(query={"p95_degraded_s": 9, "p95_critical_s": 10})
    assert odd.current.query.p95_critical_s == 10
    assert "must not be below" in desk.setting("query.p95_critical_s").failure


async def test_what_a_newer_modelwatch_wrote_is_left_alone(world: World) -> None:
    """And said in the log; the others hold."""
    await world.changes.add("query.new_thing", "1", "0", "x", 0)
    await world.changes.add(TARGET, "4", "0.5", "x\0\ud800", 0)
    tuning, desk = await world.process()
    assert tuning.current.query.apdex_target_s == 4
    assert tuning.failures == {"query.new_thing": tuning.failures["query.new_thing"]}
    change = desk.setting(TARGET).change
    assert change is not None
    assert change.changed_by == "x\ufffd\ufffd"


async def test_a_process_does_not_start_without_knowing(world: World) -> None:
    """With a retention that somebody has lengthened since, it would delete what is to be kept."""
    await world.history.stop()
    tuning = Tuning(TuningSettings(), Settings(), TUNABLES, world.changes)
    with pytest.raises(StartError, match="changed while running cannot be read"):
        await tuning.start()
    await tuning.stop()
    await world.history.start()


async def test_the_list_of_changes_is_bounded(history: SqlHistory) -> None:  # noqa: F811
    """The oldest go, but never the latest of a setting."""
    changes = build_setting_changes(history)
    await changes.add("first", "1", "0", "x", 0)
    insert = (
        "INSERT INTO setting_changes (change_id, name, value, before, changed_by, changed_ms) "
        "VALUES (%d, 'often', '1', '0', 'x', 0)"
    )

    def fill(connection: Any) -> None:
        for number in range(2, KEPT_CHANGES + 3):
            connection.exec_driver_sql(insert % number)

    await history.database.write(fill)
    await changes.add("often", "2", "1", "x", 0)
    found = await changes.read(2_000)
    assert len(found) == KEPT_CHANGES + 1
    assert found[-1].name == "first"
    assert [one.name for one in await changes.holding()] == ["first", "often"]
    assert [one.change_id for one in await changes.read(1, found[0].change_id)] == [found[1].change_id]


def test_all_thresholds_of_resources_can_be_changed() -> None:
    """Whoever adds one adds it to what may be changed."""
    known = {one.name for one in TUNABLES if one.name.startswith("query.resources.")}
    assert known == {f"query.resources.{name}" for name in type(Settings().query.resources).model_fields}

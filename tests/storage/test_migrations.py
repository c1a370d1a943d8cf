"""The schema: made in steps, once, the one that the code speaks of, and with all that was there before."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, inspect

from storage.commits import rows_of
from storage.component import build_upkeep
from storage.dialects import IS_WRITER, POSTGRES, SQLITE, Dialect
from storage.migrations import STEPS, migrate
from storage.ports import AlreadyCommittedError, SeriesFilter
from storage.schema import METADATA, red_points, schema_version
from storage.series_catalog import SeriesCatalog
from storage.settings import StorageSettings
from telemetry import Counters, RedPoint, StartError
from tests.support.doubles import ManualClock
from tests.support.red_points import red_point, totals_of

NOW_S = 1_700_000_000
DAY_S = 86_400


@pytest.fixture
def dialect(store: Any) -> Dialect:
    return SQLITE if store.kind == "sqlite" else POSTGRES


@pytest.fixture
async def engine(store: Any) -> Any:
    """An engine on a store that has been migrated."""
    history = store.history()
    await history.start()
    await history.stop()
    made = sqlalchemy.create_engine(store.url)
    yield made
    made.dispose()


def test_the_migrated_schema_is_the_one_that_the_code_speaks_of(engine: Engine) -> None:
    """Tables, columns, nullability and primary keys are equal on either side; partitions are named after theirs."""
    found = inspect(engine)
    names = {name for name in found.get_table_names() if not re.search(r"_(rest|\d+_\d+)$", name)}
    assert names == set(METADATA.tables)
    for name, table in METADATA.tables.items():
        columns = {column["name"]: column["nullable"] for column in found.get_columns(name)}
        assert columns == {column.name: column.nullable for column in table.columns}
        assert found.get_pk_constraint(name)["constrained_columns"] == [key.name for key in table.primary_key]


def test_only_missing_steps_are_applied(engine: Engine, dialect: Dialect) -> None:
    """A second run changes nothing, a new step is applied on top, each once."""
    steps = (*STEPS, ("ALTER TABLE series ADD COLUMN colour TEXT", "CREATE TABLE more (id {bytes})"))
    for _ in range(2):
        with engine.begin() as connection:
            migrate(connection, dialect.ddl_words, steps)
    with engine.connect() as connection:
        assert connection.scalars(sqlalchemy.select(schema_version.c.version)).all() == [len(steps)]
    assert "more" in inspect(engine).get_table_names()


async def test_a_newer_schema_stops_the_start(engine: Engine, store: Any) -> None:
    """A program that is older than the database says so in one line and leaves it alone."""
    with engine.begin() as connection:
        connection.execute(schema_version.update().values(version=len(STEPS) + 3))
    with pytest.raises(StartError, match=f"version {len(STEPS) + 3}.*knows {len(STEPS)}.*MODELWATCH_DATABASE_URL"):
        await store.history().start()


def test_a_step_that_fails_leaves_nothing_behind(engine: Engine, dialect: Dialect) -> None:
    """Steps are applied in one transaction on both databases."""
    guarded = dialect.open(engine.url, StorageSettings())
    with pytest.raises(sqlalchemy.exc.SQLAlchemyError), guarded.begin() as connection:
        migrate(connection, dialect.ddl_words, (*STEPS, ("CREATE TABLE half (id INT)", "THIS IS NOT SQL")))
    guarded.dispose()
    assert "half" not in inspect(engine).get_table_names()


def make_version_1(store: Any, dialect: Dialect, points: list[RedPoint]) -> None:
    """Make a database as the first version of the schema left it, with these points in buckets of 10 s."""
    made = dialect.open(sqlalchemy.make_url(store.url), StorageSettings())
    with made.execution_options(**{IS_WRITER: True}).begin() as connection:
        migrate(connection, dialect.ddl_words, STEPS[:1])
        rows, named = rows_of(points, 10, SeriesCatalog(1_000, 100))
        connection.execute(red_points.insert(), [row._asdict() for row in rows])
        for series_id, key in named.items():
            fields = dict(list(key._asdict().items())[:10])
            names = ["series_id", *fields, "noted_s"]
            sql = f"INSERT INTO series ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
            connection.execute(sqlalchemy.text(sql), {"series_id": series_id, **fields, "noted_s": NOW_S})
        sql = "INSERT INTO batches (batch_id, committed_s) VALUES (:batch_id, :noted_s)"
        connection.execute(sqlalchemy.text(sql), {"batch_id": b"known".ljust(16), "noted_s": NOW_S})
    made.dispose()


def points_of_a_week() -> list[RedPoint]:
    """Return points of some services over seven days, and one that a wrong clock dated years ahead."""
    dice = random.Random(1)
    ages = [dice.randrange(7 * DAY_S) for _ in range(600)]
    return [red_point(f"s{age_s % 3}", NOW_S - age_s, 2, 1, duration_ms=1 + age_s % 90) for age_s in ages] + [
        red_point("s0", NOW_S + 400 * DAY_S)
    ]


async def test_a_database_of_version_1_is_carried_over_without_loss(store: Any, dialect: Dialect) -> None:
    """Points, series and batch ids are there at once, are rolled up later, and leave in their turn."""
    points = points_of_a_week()
    make_version_1(store, dialect, points)
    clock = ManualClock(NOW_S)
    history = store.history(now_ns=clock)
    for _ in range(2):
        await history.start()
        await history.stop()
    await history.start()
    assert totals_of(await history.read(0, 2**40, SeriesFilter()), 10) == totals_of(points, 10)
    with pytest.raises(AlreadyCommittedError):
        await history.commit([b"known".ljust(16)], [red_point()])
    late = [red_point("s1", NOW_S - 3 * DAY_S), red_point("s1", NOW_S), red_point("new", NOW_S + 60)]
    await history.commit([], late)
    upkeep = build_upkeep(StorageSettings(min_free_bytes=0), history, Counters(), now_ns=clock)
    for days in (0, 3):
        clock.advance(days * DAY_S + 3_600)
        for width_s in (60, 3_600):
            found = [*await history.read(0, 2**40, SeriesFilter(), width_s)]
            assert totals_of(found, width_s) == totals_of([*points, *late], width_s)
            await upkeep.roll_up()
            clock.advance(100)
        await upkeep.delete_expired()
    since = {tier.width_s: tier.since_s for tier in await history.kept()}
    assert NOW_S < since[10] <= clock.now_s - 2 * DAY_S
    remaining = [*await history.read(0, NOW_S - DAY_S, SeriesFilter())]
    assert remaining
    assert {point.start_s % 60 for point in remaining} == {0}
    await history.stop()


async def test_what_was_rolled_up_before_there_were_summaries_is_answered_the_same(
    store: Any, dialect: Dialect
) -> None:
    """Buckets from before, from after, and one that is rolled up again, each by service and by route."""
    clock = ManualClock(NOW_S)
    history = store.history(now_ns=clock)
    upkeep = build_upkeep(StorageSettings(min_free_bytes=0), history, Counters(), now_ns=clock)
    points = [red_point("s0", NOW_S - age_s, 2, 1, http_route=f"/{age_s % 7}") for age_s in range(0, 3 * 3_600, 40)]

    async def roll_up() -> None:
        for _ in range(2):
            clock.advance(3_700)
            await upkeep.roll_up()

    async def check() -> None:
        for width_s in (10, 60, 3_600):
            for by in (None, {"service_name"}):
                found = [*await history.read(0, 2**40, SeriesFilter(service_name="s0"), width_s, by)]
                assert sum(point.calls for point in found) == sum(point.calls for point in points)
                hours = {point.start_s // 3_600 for point in points}
                assert {point.start_s // 3_600 for point in found} == hours

    await history.start()
    await history.commit([], points)
    await roll_up()
    await history.stop()
    made = dialect.open(sqlalchemy.make_url(store.url), StorageSettings())
    with made.execution_options(**{IS_WRITER: True}).begin() as connection:
        for name in ("red_summaries_medium", "red_summaries_coarse"):
            connection.execute(sqlalchemy.text(f"DROP TABLE {name}"))
        connection.execute(sqlalchemy.text("ALTER TABLE tiers DROP COLUMN summed_since_s"))
        step = next(number for number, step in enumerate(STEPS) if "red_summaries_medium" in step[0])
        connection.execute(schema_version.update().values(version=step))
        migrate(connection, dialect.ddl_words, STEPS[: step + 1])
        connection.execute(schema_version.update().values(version=len(STEPS)))
    made.dispose()
    await history.start()
    await check()
    more = [red_point("s0", start_s, 3, 1, http_route=f"/{start_s % 7}") for start_s in (NOW_S - 7_200, clock.now_s)]
    await history.commit([], more)
    points += more
    await check()
    await roll_up()
    await check()
    await upkeep.delete_expired()
    await check()
    rows = "SELECT count(*) FROM red_summaries_coarse"
    assert await history.database.read(lambda connection: connection.exec_driver_sql(rows).scalar()) == 2
    await history.stop()


async def test_a_database_keeps_the_widths_that_it_was_made_with(store: Any) -> None:
    """Other widths in the settings stop the start, in one line that says what to set back."""
    history = store.history()
    await history.start()
    await history.stop()
    with pytest.raises(StartError, match=r"of 60 s where MODELWATCH_STORAGE__MEDIUM_RESOLUTION_S says 120"):
        await store.history(medium_resolution_s=120).start()
    other = store.history(resolution_s=5)
    await other.start()
    await other.stop()

"""The schema: made in steps, once, and the one that the code speaks of."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, inspect

from storage.dialects import POSTGRES, SQLITE, Dialect
from storage.migrations import STEPS, migrate
from storage.schema import METADATA, schema_version
from storage.settings import StorageSettings
from telemetry import StartError


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
    """Tables, columns, nullability and primary keys are equal on either side."""
    found = inspect(engine)
    assert set(found.get_table_names()) == set(METADATA.tables)
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

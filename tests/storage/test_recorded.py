"""Databases that older programs wrote: today's brings them up to date, and answers as those did."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy

from alerting.desk import AlertDesk
from alerting.reading import Asking
from alerting.settings import AlertingSettings
from api.component import build as build_api
from api.settings import ApiSettings
from query import MetricQuery, Query, QuerySettings, ResourceQuery
from storage.absent_live_feed import AbsentLiveFeed
from storage.component import build_alert_store
from storage.history import SqlHistory
from storage.migrations import STEPS
from storage.schema import schema_version
from telemetry import Counters
from tests.storage.conftest import Store
from tests.support.doubles import ManualClock

FOLDER = Path(__file__).parent / "recorded"
VERSIONS = sorted({int(path.stem.partition("-")[0]) for path in FOLDER.glob("*.sql")})


class Upgraded(NamedTuple):
    """The history on a recorded database, and what is asked of it."""

    history: SqlHistory
    url: str
    version: int
    answers: list[Mapping[str, Any]]
    api: httpx.AsyncClient


def _load(store: Store, script: str) -> None:
    if store.kind == "sqlite":
        path = Path(sqlalchemy.make_url(store.url).database or "")
        path.parent.mkdir(parents=True)
        with sqlite3.connect(path) as connection:
            connection.executescript(script)
        connection.close()
        return
    engine = sqlalchemy.create_engine(store.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(script.replace("%", "%%"))
    engine.dispose()


@pytest.fixture(params=VERSIONS)
async def upgraded(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[Upgraded]:
    """Each recorded database in turn, with an API over it at the time of the recording."""
    name = f"{request.param}-{store.kind}"
    _load(store, (FOLDER / f"{name}.sql").read_text())
    recorded = json.loads((FOLDER / f"{name}.json").read_text())
    clock = ManualClock(recorded["recorded_s"])
    history = store.history(now_ns=clock)
    await history.start()
    settings = QuerySettings(history_cache_s=0)
    query = Query(settings, history, AbsentLiveFeed(), clock)
    asking = Asking(query, MetricQuery(settings, history, clock), ResourceQuery(settings, query, history, clock))
    desk = AlertDesk(AlertingSettings(), build_alert_store(history), asking, clock)
    app = build_api(ApiSettings(), *asking, Counters(), {}, clock, alerts=desk)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://modelwatch.test") as api:
        yield Upgraded(history, store.url, request.param, recorded["answers"], api)
    await history.stop()


async def test_an_older_database_is_brought_up_to_date_and_answers_as_before(upgraded: Upgraded) -> None:
    """Every figure of every answer that the older program gave, to the last digit."""
    engine = sqlalchemy.create_engine(upgraded.url)
    with engine.connect() as connection:
        assert connection.scalars(sqlalchemy.select(schema_version.c.version)).all() == [len(STEPS)]
    engine.dispose()
    assert upgraded.version < len(STEPS)
    assert len(upgraded.answers) >= 4
    for recorded in upgraded.answers:
        answer = await upgraded.api.get(recorded["url"])
        assert answer.status_code == 200, answer.text
        _holds(recorded["document"], answer.json(), recorded["url"])


_OF_ITS_TIME = frozenset({"source", "evidence", "description"})
"""What says how something was answered, or in which words."""


def _holds(recorded: Any, present: Any, where: str) -> None:
    """Check that all that was answered is answered; there may be more now."""
    if isinstance(recorded, dict):
        for name, value in recorded.items():
            if name not in _OF_ITS_TIME:
                assert name in present, f"{where}: {name} is gone"
                _holds(value, present[name], f"{where}.{name}")
    elif isinstance(recorded, list):
        left = list(present)
        for index, one in enumerate(recorded):
            found = next((other for other in left if _is_held(one, other)), None)
            assert found is not None, f"{where}[{index}]: {one} is not among {left}"
            left.remove(found)
    else:
        assert present == recorded, where


def _is_held(recorded: Any, present: Any) -> bool:
    try:
        _holds(recorded, present, "")
    except (AssertionError, TypeError):
        return False
    return True


async def test_a_changed_figure_would_be_noticed() -> None:
    """The comparison used here does fail for a lost item, a lost field and another value."""
    document = {"items": [{"calls": 1, "points": [{"calls": 1}]}], "total": 1}
    _holds(document, {**document, "more": 1}, "$")
    for wrong in ({"items": [], "total": 1}, {"items": document["items"]}, {**document, "total": 2}):
        with pytest.raises(AssertionError):
            _holds(document, wrong, "$")

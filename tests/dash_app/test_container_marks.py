"""Alerts on the charts of the page of containers: those of the service that the charts are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from alerting.notification import Severity
from alerting.rules import Rule, Signal
from dash_app.containers import page as containers_page
from dash_app.marking import with_marks
from dash_app.shared.alert_news import Episode
from dash_app.shell.page import Question
from dash_app.shell.view import View
from tests.support.alert_world import rule
from tests.support.query_world import NOW_S, make_world
from tests.support.resource_traffic import fleet, fleet_id, instances


class OneEpisode:
    """News of one alert, on the CPU of one service, that fired for a minute."""

    async def rules(self) -> Mapping[str, Rule]:
        return {"busy": rule().model_copy(update={"rule_id": "busy", "name": "Busy", "signal": Signal.CPU})}

    async def episodes(self, start_s: int, end_s: int) -> list[Episode]:
        return [Episode("busy", {"service": "churn-xgb"}, Severity.CRITICAL, NOW_S - 120, NOW_S - 60)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "churn-xgb: Busy"),
        ({"resource": f"container:{fleet_id(1)}"}, "Busy"),
        ({"resource": f"container:{fleet_id(3)}"}, None),
        ({"resource": f"container:{fleet_id(10)}"}, None),
        ({"of": "service", "only": "churn-xgb"}, "Busy"),
        ({"of": "service", "only": "doc-ocr"}, None),
    ],
    ids=["all", "its container", "another's", "nobody's", "its service", "another service"],
)
async def test_an_alert_is_marked_where_its_service_is_shown(fields: dict[str, str], expected: str | None) -> None:
    """On the chart of what its rule watches, named where the page shows several services, and on no other's."""
    world = make_world()
    await world.history.commit([], [], list(fleet(NOW_S - 300, NOW_S, 1)))
    world.history.seen_instances = instances(NOW_S)
    news: Any = OneEpisode()
    answer = await with_marks(containers_page(world.resources), news).answer(Question(View(), fields))
    labels = {
        name: [shape["label"]["text"] for shape in figure["layout"].get("shapes", ()) if "label" in shape]
        for name, figure in answer.figures.items()
    }
    assert labels["containers-cpu"] == ([] if expected is None else [expected])
    assert labels["containers-memory"] == labels["containers-throttling"] == []

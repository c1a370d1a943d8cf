"""The dashboards for Grafana: each question of theirs is one that the real `/metrics` can answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.exposition.watched import alert_family, red_families, resource_families
from api.figures import prometheus_name
from query import WindowTotals
from telemetry.counters import HELP

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")}
DATA_SOURCES = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/modelwatch.yaml").read_text())["datasources"]


def metric_names() -> set[str]:
    """Return the names of the samples that there can be at `/metrics`, as the code declares them."""
    families = [*red_families(WindowTotals(("service", "version", "environment", "route"), 0, 1, [])), alert_family([])]
    families += resource_families([])
    names = {f"{family.name}_total" if family.kind == "counter" else family.name for family in families}
    names |= {
        f"{family.name}{end}"
        for family in families
        for end in ("_bucket", "_count", "_sum")
        if family.kind == "histogram"
    }
    return names | {f"{prometheus_name(name)}{end}" for name in HELP for end in ("", "_total")}


def expressions(document: dict[str, Any]) -> list[str]:
    variables = [one["definition"] for one in document["templating"]["list"]]
    return variables + [target["expr"] for panel in document["panels"] for target in panel["targets"]]


def test_there_is_one_for_each_subject() -> None:
    assert DASHBOARDS.keys() == {"overview", "service", "containers", "pipeline"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_metric_and_label_of_a_dashboard_is_told(name: str) -> None:
    """A panel about a metric that nobody tells would be empty for ever."""
    for expression in expressions(DASHBOARDS[name]):
        assert set(re.findall(r"\bmodelwatch_\w+", expression)) <= metric_names(), expression
        labels = set(re.findall(r"(\w+)=~?\"", expression))
        assert labels <= {"service_name", "deployment_environment_name", "state", "host", "job"}, expression


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_its_source_its_place_and_its_unit(name: str) -> None:
    """Panels do not lie over each other, and ask the source that is provisioned."""
    document = DASHBOARDS[name]
    taken: set[tuple[int, int]] = set()
    assert document["uid"] == f"modelwatch-{name}"
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["datasource"]["uid"] in {one["uid"] for one in DATA_SOURCES}
        assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])

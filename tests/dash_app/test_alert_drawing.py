"""What is drawn of alerts, without a browser: the form of rules, marks on charts, the badge, words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dash.development.base_component import Component

from alerting.alerts import Alert
from alerting.backtest import Backtest, Episode, Replayed
from alerting.default_rules import DEFAULT_RULES
from alerting.desk import AlertDesk, HistoryKey, OpenAlert, Past
from alerting.notification import Links, Severity
from alerting.report import Report
from alerting.rulebook import KnownRule
from alerting.rules import ON_LATENCY, SHARES, Rule
from alerting.silences import Silence
from alerting.states import AlertState, Phase, Side, Transition
from alerting.wording import summary_of
from dash_app.alerts import channel_form
from dash_app.alerts import page as alerts_page
from dash_app.alerts.answer import trust
from dash_app.alerts.backtest_chart import backtest_figure, headline
from dash_app.alerts.firing import firing_list
from dash_app.alerts.form import FIELDS, FormError, labels_of, rule_of, values_of
from dash_app.alerts.layout import layout
from dash_app.alerts.lists import (
    RULE_COLUMNS,
    SILENCE_COLUMNS,
    counted,
    history_more,
    history_note,
    rule_list,
    rules_in_view,
    sentence,
    silence_list,
    silences_in_view,
)
from dash_app.alerts.snapshot import HISTORY_LENGTH, AlertsView, Snapshot, take_snapshot
from dash_app.alerts.words import length
from dash_app.marking import marked_figures
from dash_app.shared.alert_marks import Band, marked, merged
from dash_app.shared.alert_news import Episode as AlertEpisode
from dash_app.shared.alert_news import episodes_of
from dash_app.shell.badge import badge_of
from query import SeriesFilter
from storage.component import build_sqlite_history
from storage.settings import StorageSettings
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock

FULL = Rule.model_validate(
    {
        "rule_id": "queue",
        "name": "Queue <b>",
        "description": "Look.\nThen act.",
        "runbook_url": "https://runbooks.example.com/q?a=1,2",
        "is_enabled": False,
        "signal": "metric",
        "metric": {"name": "queue.length", "aggregation": "max", "type": "gauge", "unit": "{item}"},
        "scope": {"service": "a,b-*", "queue": "x"},
        "group_by": ["service", "queue"],
        "comparison": "below",
        "warning": -1.5,
        "critical": -20,
        "window_s": 90,
        "for_s": 12.5,
        "keep_firing_for_s": 0,
        "interval_s": 7,
        "min_requests": 0,
        "confidence": 0,
        "grace_s": 3,
        "on_no_data": "keep",
        "no_data_after_s": 33,
        "repeat_interval_s": 600,
        "notify_by": ["queue"],
        "channels": ["on-call", "mail"],
    }
)


@pytest.mark.parametrize("written", [*DEFAULT_RULES, FULL], ids=lambda one: str(one.rule_id))
def test_a_rule_survives_the_form(written: Rule) -> None:
    """What the form shows of a rule says that rule again, with every field."""
    assert rule_of(values_of(written.model_dump(mode="json"))) == written


def test_the_form_has_a_field_for_all_that_a_rule_says() -> None:
    """Nothing of a rule can be set by API only."""
    assert {field.name.partition(".")[0] for field in FIELDS} == set(Rule.model_fields)


def _form(**changes: Any) -> list[Any]:
    shown = dict(zip([field.name for field in FIELDS], values_of(rule().model_dump(mode="json")), strict=True))
    return list((shown | changes).values())


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"warning": "five"}, "warning", "a number"),
        ({"scope": "churn"}, "scope", "labels and values"),
        ({"scope": "colour=red"}, "scope", "there is no label 'colour'"),
        ({"rule_id": "Not An Id"}, "rule_id", "small letters, digits"),
        ({"runbook_url": "wiki"}, "runbook_url", "begins with http"),
        ({"name": ""}, "name", "is required"),
        ({"name": "n" * 201}, "name", "at most 200 characters"),
        ({"warning": "", "critical": ""}, "warning", "at least one"),
        ({"critical": "0.01"}, "critical", "further above"),
        ({"warning": "nan"}, "warning", "finite"),
        ({"signal": "metric"}, "metric.name", "required"),
        ({"interval_s": "0"}, "interval_s", "must be 1 or more"),
        ({"interval_s": "1.5"}, "interval_s", "a whole number"),
    ],
)
def test_a_mistake_is_told_at_its_field(changes: dict[str, str], field: str, words: str) -> None:
    """In words, with no pattern nor type of a program."""
    if changes.get("signal") == "metric":
        changes = changes | {"metric.unit": "s"}
    with pytest.raises(FormError) as refused:
        rule_of(_form(**changes))
    assert words in refused.value.problems[field].lower()


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"states": []}, "states", "choose at least one"),
        ({"max_per_minute": "0"}, "max_per_minute", "must be 1 or more"),
        ({"max_per_minute": "601"}, "max_per_minute", "must be 600 or less"),
        ({"max_per_minute": "0.5"}, "max_per_minute", "must be a whole number"),
        ({"url": "h" * 5_000}, "url", "must be at most 4096 characters"),
        ({"url_file": "f" * 101}, "url_file", "must have at most 100 characters"),
        ({"labels": ",".join(f"a{n}=b" for n in range(20))}, "labels", "must be at most 16"),
    ],
)
def test_a_mistake_in_a_channel_is_told_at_its_field(changes: dict[str, Any], field: str, words: str) -> None:
    """In words too, and what was written is not repeated: it may be a secret."""
    shown = dict(zip(channel_form.FIELDS, channel_form.EMPTY, strict=True)) | {"name": "a", "url": "https://h/x"}
    with pytest.raises(FormError) as refused:
        channel_form.given_of(list((shown | changes).values()))
    assert refused.value.problems == {field: words}


def test_labels_keep_commas_and_equals_signs_of_their_values() -> None:
    """A comma ends a value only where another label follows."""
    assert labels_of("service=a,b, route=/x?y=1") == {"service": "a,b", "route": "/x?y=1"}
    assert labels_of(" ") == {}


FIGURE = {"data": [], "layout": {"xaxis": {"range": [100_000, 200_000], "type": "date"}, "shapes": [{"x0": 1}]}}


def test_bands_are_drawn_from_firing_to_resolved_within_the_range() -> None:
    """The whole of what is added to a figure; its other shapes stay."""
    before = {"data": [], "layout": dict(FIGURE["layout"])}  # type: ignore[call-overload]
    drawn = marked(FIGURE, [Band(Severity.CRITICAL, 120.0, 150.0, "High <b>"), Band(Severity.WARNING, 10.0, 20.0, "")])
    assert drawn["layout"]["shapes"] == [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": 120_000,
            "x1": 150_000,
            "y0": 0,
            "y1": 1,
            "fillcolor": "rgba(229,72,77,0.13)",
            "line": {"width": 0},
            "layer": "below",
            "label": {"text": "High &lt;b&gt;", "textposition": "top left", "font": {"size": 10}},
        },
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": 120_000,
            "x1": 120_000,
            "y0": 0,
            "y1": 1,
            "line": {"width": 1.2, "color": "#e5484d"},
        },
        {"x0": 1},
    ]
    assert before == FIGURE
    assert marked(FIGURE, []) is FIGURE


def test_a_band_that_began_before_the_range_has_no_edge_in_it() -> None:
    """It is cut, and nothing says that it began there."""
    shapes = marked(FIGURE, [Band(Severity.WARNING, 50.0, 500.0, "x")])["layout"]["shapes"]
    assert [(shape.get("type"), shape["x0"], shape.get("x1")) for shape in shapes[:-1]] == [("rect", 100_000, 200_000)]


def test_bands_that_overlap_are_one_as_grave_as_the_gravest() -> None:
    """Also where one lies within an earlier one and a third begins after the inner one ended."""
    found = merged(
        [
            Band(Severity.WARNING, 1, 10, "a"),
            Band(Severity.CRITICAL, 2, 3, "b"),
            Band(Severity.WARNING, 5, 12, "a"),
            Band(Severity.WARNING, 13, 14, "c"),
        ]
    )
    assert found == [Band(Severity.CRITICAL, 1, 12, "2 alerts"), Band(Severity.WARNING, 13, 14, "c")]


def _past(at_s: float, before: Phase, after: Phase, severity: Severity | None, alert_id: str = "one") -> Past:
    change = Transition(at_s, before, after, severity, 1.0, 1.0, 1.0, "", False)
    return Past((int(at_s * 1000), alert_id, 1), alert_id, "failing", {"service": "shop"}, change)


def test_episodes_are_told_by_the_changes_in_the_range_alone() -> None:
    """One that began before it, one within it that became critical, one that lost its data and goes on."""
    past = [
        _past(90, Phase.FIRING, Phase.NO_DATA, Severity.WARNING),
        _past(80, Phase.PENDING, Phase.FIRING, Severity.WARNING),
        _past(60, Phase.FIRING, Phase.RESOLVED, None),
        _past(55, Phase.FIRING, Phase.FIRING, Severity.CRITICAL),
        _past(50, Phase.INACTIVE, Phase.FIRING, Severity.WARNING),
        _past(20, Phase.FIRING, Phase.RESOLVED, None),
    ]
    found = [(one.severity.value, one.started_s, one.ended_s) for one in episodes_of(past, [], 10, 100)]
    assert found == [("warning", 10, 20), ("critical", 50, 60), ("warning", 80, 100)]


def _backtest(**changes: Any) -> Backtest:
    fields: dict[str, Any] = {
        "start_s": 0,
        "end_s": 180,
        "step_s": 60,
        "window_s": 60,
        "groups": 1,
        "fired": 1,
        "firing_s": 60.0,
        "longest_s": 60.0,
        "episodes": (Episode({"service": "shop"}, 120.0, None, Severity.CRITICAL, 0.7),),
        "series": (Replayed({"service": "<shop>"}, (0.05, None, 0.7)),),
    }
    return Backtest(**(fields | changes))


def test_the_chart_of_a_backtest_has_values_thresholds_and_bands() -> None:
    """Values stand at the ends of their steps; names are letters, not markup."""
    figure = backtest_figure(rule(), _backtest())
    values, warning, critical = figure["data"]
    assert (values["name"], values["x"], values["y"]) == ("&lt;shop&gt;", [60_000, 120_000, 180_000], [0.05, None, 0.7])
    assert (warning["y"], critical["y"]) == ([0.1, 0.1], [0.5, 0.5])
    assert [(shape["type"], shape["x0"], shape["x1"]) for shape in figure["layout"]["shapes"]] == [
        ("rect", 120_000, 180_000),
        ("line", 120_000, 120_000),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"groups": 0}, "There was nothing to judge in the past 24\u00a0h."),
        ({"fired": 0}, "It would not have fired in the past 24\u00a0h, of 1 group."),
        ({}, "It would have fired once in the past 24\u00a0h, of 1 group: 1\u00a0min in all."),
        (
            {"fired": 3, "groups": 2, "longest_s": 45.0},
            "It would have fired 3 times in the past 24\u00a0h, of 2 groups: 1\u00a0min in all, the longest 45\u00a0s.",
        ),
    ],
)
def test_a_backtest_is_told_in_one_sentence(changes: dict[str, Any], words: str) -> None:
    """How often, of how many, how long."""
    tested = _backtest(**({"end_s": 86_400} | changes))
    assert headline(tested) == words
    assert (
        headline(tested, grace_s=60)
        == f"{words} Its grace for new groups is left out: which were new then is not known."
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3_600, "1 h"),
        (7_505, "2 h 5 min"),
        (277_000, "3 d 4 h"),
        (-5, "0 s"),
    ],
)
def test_lengths_have_at_most_two_units(seconds: float, words: str) -> None:
    """As people say them."""
    assert length(seconds).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.2, "error rate 20 % over the last 30 s, above 10 %"),
        (0.1, "error rate 10 % over the last 30 s, no longer above 10 %"),
        (None, "error rate no data over the last 30 s; it fires above 10 %"),
    ],
)
def test_no_sentence_says_beyond_of_what_is_not(value: float | None, words: str) -> None:
    """An alert goes on firing for a while when its value is back."""
    assert summary_of(rule(), value, value, 0.1) == words


def test_alerts_are_marked_on_the_charts_that_they_concern_alone() -> None:
    """By the signal of their rule, and the environment and service that are shown; the name is said where it is not."""
    figures = {name: {**FIGURE, "layout": {"xaxis": {"range": [0, 100_000]}}} for name in ("errors", "latency")}
    rules = {"failing": rule()}
    shop = {"service": "shop", "environment": "prod"}
    episodes = [AlertEpisode("failing", shop, Severity.CRITICAL, 10, 20)]

    def labels(environment: str | None, service: str | None) -> dict[str, list[str]]:
        where = SeriesFilter(deployment_environment=environment)
        drawn = marked_figures(figures, {"errors": SHARES, "latency": ON_LATENCY}, episodes, rules, where, service)
        return {
            name: [one["label"]["text"] for one in figure["layout"].get("shapes", []) if "label" in one]
            for name, figure in drawn.items()
        }

    assert labels(None, None) == {"errors": ["shop: Failing"], "latency": []}
    assert labels("prod", "shop") == {"errors": ["Failing"], "latency": []}
    assert labels("test", None) == labels(None, "churn") == {"errors": [], "latency": []}
    rules["failing"] = rule(signal="apdex", comparison="below", warning=0.9, critical=None)
    assert labels("prod", "shop") == {"errors": [], "latency": ["Failing"]}
    rules["failing"] = rule(scope={"span_kind": "CLIENT"})  # the charts are of answered requests
    assert labels(None, None) == {"errors": [], "latency": []}
    rules.clear()
    assert labels(None, None) == {"errors": [], "latency": []}


def _open(severity: Severity, phase: Phase = Phase.FIRING) -> OpenAlert:
    state = AlertState(0.0, phase, critical=Side(severity is Severity.CRITICAL), warning=Side(True))
    return OpenAlert(Alert("one", "failing", {}, state), None, None, None, None, Links(page="", alerts=""))


def test_the_badge_says_in_words_what_its_colour_says() -> None:
    """Nothing fires, warnings alone, and any critical one."""
    assert badge_of([])["alert-badge"] == {"hidden": True}
    warnings = badge_of([_open(Severity.WARNING)] * 2)
    assert warnings["alert-badge"] == {"hidden": False, "className": "badge is-degraded", "title": "2 warnings"}
    both = badge_of([_open(Severity.CRITICAL), _open(Severity.WARNING)])
    assert both["alert-badge"]["className"] == "badge is-critical"
    assert both["alert-badge-number"] == {"children": "2"}
    assert both["alert-badge-words"] == {"children": " firing: 1 critical, 1 warning"}
    silent = badge_of([_open(Severity.CRITICAL, Phase.NO_DATA)] * 3)
    assert silent["alert-badge"] == {"hidden": False, "className": "badge is-critical", "title": "3 without data"}
    assert silent["alert-badge-words"] == {"children": " open: 3 without data"}
    assert badge_of([_open(Severity.WARNING, Phase.NO_DATA), _open(Severity.WARNING)])["alert-badge-words"] == {
        "children": " open: 1 warning, 1 without data"
    }


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Report(at_s=990.0), ""),
        (Report(), ""),
        (
            Report(at_s=900.0),
            "Nobody has evaluated alerts for 1 min 40 s. Start modelwatch alerts, or look at its log.",
        ),
        (
            Report(at_s=999.0, frozen_reason="a processor is 40 s behind", frozen_since_s=940.0),
            "Alerts have been frozen for 1 min: a processor is 40 s behind. "
            "Until then nothing fires and nothing is resolved, except by pipeline-behind.",
        ),
    ],
)
def test_the_page_says_when_it_cannot_be_trusted(report: Report, words: str) -> None:
    """Frozen, or evaluated by nobody; nothing where all is well or nothing ever was."""
    snapshot = Snapshot(AlertsView(), 1_000.0, report, [], [])
    assert trust(snapshot).replace("\u00a0", " ") == words


def test_filters_leave_out_the_rules_and_silences_that_are_about_something_else() -> None:
    """By what each is limited to, with `*`; one that is limited by nothing of the filter stays; others are counted."""
    scopes: list[dict[str, str]] = [{}, {"service": "shop-*"}, {"service": "bank"}, {"route": "/x"}]
    known = [KnownRule(rule(rule_id=f"r{n}", name=f"R{n}", scope=scope), 1, False, 0) for n, scope in enumerate(scopes)]
    silences = [
        Silence(labels=scope, rule="r*", starts_s=0, ends_s=9_000, comment=f"c{n}") for n, scope in enumerate(scopes)
    ]
    view = AlertsView("rules", SeriesFilter(service_name="shop-eu"))
    snapshot = Snapshot(view, 1_000.0, Report(at_s=999.0), [], known, silences)
    assert [one.rule.rule_id for one in rules_in_view(snapshot)] == ["r0", "r1", "r3"]
    assert [one.comment for one in silences_in_view(snapshot)] == ["c0", "c1", "c3"]
    assert counted(3, 4) == "3 (1 more without filters)"
    assert "No rule is about that" in str(rule_list(replace(snapshot, rules=known[2:3]))[0])


class Changes:
    """A desk with a history of one service that changes all the time, and another that rarely does."""

    def __init__(self, count: int, rare_every: int) -> None:
        change = Transition(0.0, Phase.INACTIVE, Phase.FIRING, Severity.WARNING, 1.0, 1.0, 0.5, "because", False)
        self.reads = 0
        self.rows = [
            Past((at_ms, f"{at_ms:024x}", 1), f"{at_ms:024x}", "r", {"service": service}, change)
            for at_ms in range(count, 0, -1)
            for service in ["rare" if at_ms % rare_every == 0 else "busy"]
        ]

    async def report(self) -> Report:
        return Report(at_s=999.0)

    async def open_alerts(self) -> list[OpenAlert]:
        return []

    @property
    def rules(self) -> Changes.Rules:
        return self.Rules()

    class Rules:
        async def rules(self) -> list[KnownRule]:
            return []

    async def history(self, limit: int, *, before: HistoryKey | None = None, rule_id: str | None = None) -> list[Past]:
        self.reads += 1
        return [past for past in self.rows if before is None or past.key < before][:limit]


@pytest.mark.parametrize("service", ["rare", "busy"])
async def test_the_history_is_of_what_the_filter_lets_through_page_by_page(service: str) -> None:
    """Following "Earlier" leads through all of it, each change once, in order, with a bounded effort for each page."""
    desk, found, before, pages = Changes(6_000, rare_every=97), [], "", 0
    while True:
        view = AlertsView("history", SeriesFilter(service_name=service), before=before)
        desk.reads = 0
        snapshot = await take_snapshot(desk, None, view, 1_000.0)  # type: ignore[arg-type]
        assert desk.reads <= 4
        found += [past.key for past in snapshot.history[:HISTORY_LENGTH]]
        pages += 1
        earlier = [link for link in history_more(snapshot) if link.children == "Earlier"]
        if not earlier:
            break
        before = earlier[0].fields["before"]
        assert "Latest" in [link.children for link in history_more(replace(snapshot, view=replace(view, before="1")))]
    assert found == [past.key for past in desk.rows if past.labels["service"] == service]
    assert pages < 120
    assert history_note(snapshot) == f"of the service {service}"


def test_a_rule_names_a_window_only_where_it_has_one() -> None:
    """How far the processors are behind is not measured over any."""
    sentences = {rule.rule_id: sentence(rule) for rule in DEFAULT_RULES}
    assert sentences["pipeline-behind"].replace("\u00a0", " ") == "lag of the processors for 10 s"
    assert sentences["high-latency"].startswith("P95 over the last minute by service")


def test_nothing_fires_is_told_only_where_rules_are_evaluated() -> None:
    """No rule, no round yet, and the good news are three things."""
    known = [KnownRule(rule(), 1, False, 0)]
    off = [KnownRule(rule(is_enabled=False), 1, False, 0)]

    def told(report: Report, rules: list[KnownRule]) -> str:
        return str(firing_list(Snapshot(AlertsView(), 1_000.0, report, [], rules))[0])

    assert "No rule was evaluated yet" in told(Report(), known)
    assert "No rule is turned on" in told(Report(at_s=999.0), off)
    assert "Nothing fires" in told(Report(at_s=999.0), known)


def test_every_list_can_be_saved() -> None:
    """Each has its button: a component without children counts as nothing in a condition."""
    buttons = [part.of for part in layout()._traverse() if getattr(part, "_type", "") == "CsvButton"]  # type: ignore[no-untyped-call]
    lists = ["alerts-list", "alerts-history-list", "alerts-rules-list", "alerts-silences-list", "alerts-channels-list"]
    assert buttons == [*lists, "alerts-told-list"]


def test_rules_and_silences_are_saved_with_a_value_for_each_column() -> None:
    """Thresholds in the unit of the rule, labels as they are matched, times in milliseconds."""
    silence = Silence(
        rule="queue", labels={"service": "a*"}, starts_s=10, ends_s=20.5, comment="quiet", created_by="ann"
    )
    snapshot = Snapshot(AlertsView(), 15.0, Report(), [], [KnownRule(FULL, 1, False, 0)], silences=[silence])

    def saved(rows: list[Component], columns: tuple[str, ...]) -> dict[str, Any]:
        [row] = rows
        return dict(zip(columns, json.loads(getattr(row, "data-csv")), strict=True))

    of_rule = saved(rule_list(snapshot), RULE_COLUMNS)
    assert (of_rule["rule"], of_rule["is_on"], of_rule["warning"], of_rule["critical"]) == ("queue", False, -1.5, -20)
    assert (of_rule["unit"], of_rule["scope"]) == ("{item}", {"service": "a,b-*", "queue": "x"})
    of_silence = saved(silence_list(snapshot), SILENCE_COLUMNS)
    assert of_silence | {"silence": ""} == {
        "rule": "queue",
        "severity": None,
        "labels": {"service": "a*"},
        "starts": 10_000,
        "ends": 20_500,
        "comment": "quiet",
        "created_by": "ann",
        "silence": "",
    }


def test_the_foot_of_the_page_says_how_long_changes_are_kept(tmp_path: Path) -> None:
    """As it is set, also while it runs; ninety days without."""
    clock = ManualClock()
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}", now_ns=clock)
    world = AlertWorld(history, clock)
    desk = AlertDesk(world.settings, world.store, world.asking, clock)
    note = alerts_page(desk, None, clock).note
    assert callable(note)
    assert note() == "Every change is kept for 90\u00a0d"
    desk.use(world.settings.model_copy(update={"retention_s": 36 * 3_600.0}))
    assert note() == "Every change is kept for 1\u00a0d 12\u00a0h"

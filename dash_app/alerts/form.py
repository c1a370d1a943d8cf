"""The form in which a rule is written: its fields, what stands in them for a rule, and the rule that they say.

Pure; `editor.py` moves values between the form and the desk. A rule is checked by `alerting.rules` alone, so that the
page refuses what the API refuses, in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component
from pydantic import ValidationError

from alerting.mistakes import words_of
from alerting.rules import Rule
from dash_app.shared.components import Chart, PageLink

_SIGNALS: Final = {
    "latency_p50": "P50 latency, in seconds",
    "latency_p95": "P95 latency, in seconds",
    "latency_p99": "P99 latency, in seconds",
    "error_rate": "Error rate, 0 to 1",
    "client_error_rate": "Client error rate, 0 to 1",
    "apdex": "Apdex, 0 to 1; bad when below",
    "request_rate": "Request rate, per second",
    "absence": "Seconds since the last request",
    "cpu": "CPU in use, 0 to 1",
    "memory": "Memory in use, 0 to 1",
    "throttling": "CPU throttling, 0 to 1",
    "restarts": "Restarts of a container or process",
    "pipeline_lag": "Seconds that the processors are behind",
    "metric": "Any stored metric",
}
_BETWEEN_LABELS: Final = re.compile(r",(?=[^,=]*=)")
"""A comma inside a pattern is a part of it."""
Kind = Literal["text", "long", "number", "switch", "choice", "words", "labels"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form. `name` is that of the rule's field; `metric.` before it, of the metric's."""

    name: str
    label: str
    kind: Kind = "text"
    help: str = ""
    choices: Mapping[str, str] | None = None
    is_main: bool = False

    @property
    def id(self) -> str:
        """The id of its component."""
        return f"rule-{self.name.replace('.', '-').replace('_', '-')}"

    @property
    def property(self) -> str:
        """Where its component keeps the value."""
        return "checked" if self.kind == "switch" else "value"


def _choices(*values: str) -> Mapping[str, str]:
    return {value: value for value in values}


FIELDS: Final = (
    Field("name", "Name", is_main=True),
    Field("rule_id", "Id", help="Small letters, digits, . - _", is_main=True),
    Field("signal", "What is measured", "choice", choices=_SIGNALS, is_main=True),
    Field("comparison", "Bad when", "choice", choices=_choices("above", "below"), is_main=True),
    Field("warning", "Warning", "number", "In the unit of what is measured", is_main=True),
    Field("critical", "Critical", "number", "In the unit of what is measured", is_main=True),
    Field("for_s", "For, seconds", "number", "How long it must be bad", is_main=True),
    Field("keep_firing_for_s", "Resolved after, seconds", "number", "How long it must be good", is_main=True),
    Field("window_s", "Measured over, seconds", "number", "A minute without it", is_main=True),
    Field("scope", "Only of", "labels", "service=checkout-*, environment=production", is_main=True),
    Field("group_by", "One alert for each", "words", "service, route; each service without it", is_main=True),
    Field("min_requests", "Least requests", "number", "In the window, for latency, error rates, Apdex", is_main=True),
    Field("metric.name", "Metric", help="For any stored metric"),
    Field("metric.aggregation", "Aggregation", help="Without it, the first of the metric's type"),
    Field("metric.type", "Type of the metric"),
    Field("metric.unit", "Unit of the metric"),
    Field("confidence", "Confidence", "number", "Of error rates; 0 compares them as they are"),
    Field("interval_s", "Evaluated every, seconds", "number"),
    Field("grace_s", "Grace for new groups, seconds", "number"),
    Field("on_no_data", "Without data", "choice", choices=_choices("tell", "resolve", "keep")),
    Field("no_data_after_s", "No data after, seconds", "number"),
    Field("repeat_interval_s", "Told again after, seconds", "number", "As the settings say, without it"),
    Field("notify_by", "Told together by", "words", "A part of the labels above"),
    Field("channels", "Channels", "words", "All without any"),
    Field("runbook_url", "Runbook", help="https://…"),
    Field("description", "What to do", "long", "Told with the alert"),
    Field("is_enabled", "Turned on", "switch"),
)

NEW: Final[Mapping[str, Any]] = {
    "rule_id": "",
    "name": "",
    "signal": "latency_p95",
    "comparison": "above",
    "for_s": 30,
    "is_enabled": True,
}


def _component(field: Field) -> Component:
    common: dict[str, Any] = {"id": field.id, "label": field.label, "size": "xs"}
    made: Component
    if field.kind == "switch":
        made = dmc.Switch(**common, checked=True)
        return made
    common["description"] = field.help or None
    if field.kind == "choice":
        data = [{"value": value, "label": label} for value, label in (field.choices or {}).items()]
        made = dmc.Select(**common, data=data, allowDeselect=False)
    elif field.kind == "long":
        made = dmc.Textarea(**common, autosize=True, minRows=1, maxRows=6)
    else:
        default = Rule.model_fields[field.name].default if field.kind == "number" else None
        made = dmc.TextInput(**common, placeholder=_shown(field, default))
    return made


def editor() -> Component:
    """Return the form, empty."""
    return html.Div(
        [
            html.Div(
                [
                    html.H2("New rule", id="rule-title"),
                    PageLink("/alerts", "Close", "link-button", {"tab": "rules", "rule": None}),
                ],
                className="card-head",
            ),
            html.Div([_component(field) for field in FIELDS if field.is_main], className="form-grid"),
            html.Details(
                [
                    html.Summary("More"),
                    html.Div([_component(field) for field in FIELDS if not field.is_main], className="form-grid"),
                ],
                className="form-more",
            ),
            html.Div(
                [
                    html.Button("Test on the past 24 hours", id="rule-backtest", className="act", n_clicks=0),
                    html.Button("Save", id="rule-save", className="act is-main", n_clicks=0),
                    html.Span(id="rule-note", className="rule-note", role="status"),
                ],
                className="form-foot",
            ),
            html.Div(
                [html.Div(Chart("rule-chart"), className="chart"), html.Div(id="rule-episodes")],
                id="rule-tested",
                hidden=True,
            ),
        ],
        className="card alerts-card rule-editor",
    )


def values_of(rule: Mapping[str, Any]) -> list[Any]:
    """Return what stands in the fields for a rule as its JSON document, in the order of `FIELDS`."""
    return [_shown(field, _at(rule, field.name)) for field in FIELDS]


def _at(rule: Mapping[str, Any], name: str) -> Any:
    head, _, rest = name.partition(".")
    value = rule.get(head)
    return value if not rest else (value or {}).get(rest)


def _shown(field: Field, value: Any) -> Any:
    if field.kind == "switch":
        return bool(value)
    if value is None:
        return ""
    if field.kind == "words":
        return ", ".join(map(str, value))
    if field.kind == "labels":
        return ", ".join(f"{name}={pattern}" for name, pattern in value.items())
    if field.kind == "number":
        return f"{value:.12g}" if isinstance(value, float) else str(value)
    return value


class FormError(ValueError):
    """What is wrong, by the name of the field; under the empty name, what is wrong with the whole."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


def rule_of(values: Sequence[Any]) -> Rule:
    """Return the rule that the fields say. Raises `FormError`."""
    document: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field, value in zip(FIELDS, values, strict=True):
        try:
            said = _said(field, value)
        except ValueError as error:
            problems[field.name] = str(error)
            continue
        if said is None:
            continue
        head, _, rest = field.name.partition(".")
        if rest:
            document.setdefault(head, {})[rest] = said
        else:
            document[head] = said
    if problems:
        raise FormError(problems)
    try:
        return Rule.model_validate(document)
    except ValidationError as error:
        raise FormError(_problems(error)) from None


def _said(field: Field, value: Any) -> Any:
    """Return what a field says; `None` where it is empty, so that the default of the rule holds."""
    if field.kind == "switch":
        return bool(value)
    text = str(value if value is not None else "").strip()
    if not text:
        return None
    if field.kind == "number":
        return number_of(text)
    if field.kind == "words":
        return [word.strip() for word in text.split(",") if word.strip()]
    return labels_of(text) if field.kind == "labels" else text


def number_of(text: str) -> float | int:
    """Read a number. Raises `ValueError` with words for people."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number, such as 0.5") from None


def labels_of(text: str) -> dict[str, str]:
    """Read `service=churn-*, environment=production`. Raises `ValueError` with words for people."""
    found: dict[str, str] = {}
    for part in filter(str.strip, _BETWEEN_LABELS.split(text)):
        name, equals, pattern = part.partition("=")
        if not equals or not name.strip():
            raise ValueError("labels and values, such as service=churn-*, environment=production")
        found[name.strip()] = pattern.strip()
    return found


def _problems(error: ValidationError) -> dict[str, str]:
    """Return the mistakes by field. The rule's own checks begin with the name of the field."""
    names = {field.name for field in FIELDS}
    problems: dict[str, str] = {}
    for one in error.errors(include_url=False, include_input=False):
        message = words_of(one)
        place = ".".join(str(part) for part in one["loc"] if isinstance(part, str))
        if place not in names:
            head, _, rest = message.partition(": ")
            place, message = (head, rest) if rest and head in names else (place.partition(".")[0], message)
        problems.setdefault(place if place in names else "", message)
    return problems

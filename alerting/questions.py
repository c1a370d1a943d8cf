"""What has to be asked so that a rule can be judged; equal questions of many rules are asked once.

Pure: `reading.py` asks, `observing.py` makes observations of the answers.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from alerting.rules import RED_LABELS, RED_SIGNALS, RESOURCE_SIGNALS, Rule, Signal
from query import Aggregation, MetricFilter

KNOWN_FOR_S: Final = 3_600
"""How long a group without calls counts as having a request rate of zero, rather than none."""


class RedQuestion(NamedTuple):
    """RED of the `window_s` seconds before now, or before `settle_s` seconds ago, by `fields`."""

    window_s: int
    fields: tuple[str, ...]
    settle_s: int = 0


class MetricQuestion(NamedTuple):
    """A metric over the `window_s` seconds before now."""

    window_s: int
    where: MetricFilter
    group_by: tuple[str, ...]
    aggregation: Aggregation | None


class ResourceQuestion(NamedTuple):
    """All containers and processes over the `window_s` seconds before now."""

    window_s: int


class LagQuestion(NamedTuple):
    """How far behind the processors are, in seconds."""


Question = RedQuestion | MetricQuestion | ResourceQuestion | LagQuestion


def red_fields(rule: Rule) -> tuple[str, ...]:
    """Return what a rule needs told apart, in one order, so that rules that need the same ask the same."""
    wanted = {*rule.labels, *rule.scope}
    return tuple([label for label in RED_LABELS if label in wanted])


def questions_of(rule: Rule, below_settle_s: int) -> tuple[Question, ...]:
    """Return what a rule asks; `observing.py` looks the answers up by the same."""
    if rule.signal in RED_SIGNALS:
        return _red_questions(rule, below_settle_s)
    if rule.signal in RESOURCE_SIGNALS:
        return (ResourceQuestion(rule.seconds),)
    return (LagQuestion(),) if rule.signal == Signal.PIPELINE_LAG else (metric_question(rule),)


def _red_questions(rule: Rule, below_settle_s: int) -> tuple[RedQuestion, ...]:
    fields = red_fields(rule)
    if rule.signal == Signal.ABSENCE:
        windows = {rule.seconds, *absence_windows(rule).values()}
        return tuple([RedQuestion(window_s, fields) for window_s in sorted(windows)])
    if rule.comparison == "below":
        question = RedQuestion(rule.seconds, fields, below_settle_s)
        if rule.signal == Signal.REQUEST_RATE:
            return question, RedQuestion(max(KNOWN_FOR_S, rule.seconds), fields)
        return (question,)
    return (RedQuestion(rule.seconds, fields),)


def absence_windows(rule: Rule) -> dict[float, int]:
    """Return by threshold the window in which there must be no call for that long an absence."""
    return {
        threshold: max(math.ceil(threshold), 1) for threshold in (rule.warning, rule.critical) if threshold is not None
    }


def metric_question(rule: Rule) -> MetricQuestion:
    """Return the question of a rule with the signal `metric`."""
    assert rule.metric is not None
    where = MetricFilter(
        metric_name=rule.metric.name,
        metric_type=rule.metric.type,
        metric_unit=rule.metric.unit,
        labels=_exact(rule),
    )
    return MetricQuestion(rule.seconds, where, rule.labels, rule.metric.aggregation)


def _exact(rule: Rule) -> tuple[tuple[str, str], ...]:
    return tuple([(label, value) for label, value in sorted(rule.scope.items()) if "*" not in value])

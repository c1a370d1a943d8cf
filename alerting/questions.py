"""What has to be asked so that a rule can be judged; equal questions of many rules are asked once.

Pure: `reading.py` asks, `observing.py` makes observations of the answers.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from alerting.rules import RED_LABELS, RED_SIGNALS, RESOURCE_SIGNALS, Rule, Signal
from query import Aggregation, MetricFilter
from telemetry import REQUEST_KINDS

KNOWN_FOR_S: Final = 3_600
"""How long a group without calls counts as having a request rate of zero, rather than none."""


class RedQuestion(NamedTuple):
    """RED of the `window_s` seconds before now, or before `settle_s` seconds ago, by `fields`, of spans of `kinds`."""

    window_s: int
    fields: tuple[str, ...]
    settle_s: int = 0
    kinds: frozenset[str] = frozenset(REQUEST_KINDS)


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
    if rule.signal == Signal.APDEX:  # each service has a target of its own
        wanted.add("service")
    return tuple([label for label in RED_LABELS if label in wanted])


def questions_of(rule: Rule, below_settle_s: int) -> tuple[Question, ...]:
    """Return what a rule asks; `observing.py` looks the answers up by the same."""
    if rule.signal in RED_SIGNALS:
        return _red_questions(rule, below_settle_s)
    if rule.signal in RESOURCE_SIGNALS:
        return (ResourceQuestion(rule.seconds),)
    return (LagQuestion(),) if rule.signal == Signal.PIPELINE_LAG else (metric_question(rule),)


def red_question(rule: Rule, window_s: int, settle_s: int = 0) -> RedQuestion:
    """Return the question of what a rule is about, over a window."""
    return RedQuestion(window_s, red_fields(rule), settle_s, rule.span_kinds)


def known_question(rule: Rule) -> RedQuestion:
    """Return the question of which groups had calls, for a rule that counts those without any as zero."""
    return red_question(rule, max(KNOWN_FOR_S, rule.seconds))


def _red_questions(rule: Rule, below_settle_s: int) -> tuple[RedQuestion, ...]:
    if rule.signal == Signal.ABSENCE:
        windows = {rule.seconds, *absence_windows(rule).values()}
        return tuple([red_question(rule, window_s) for window_s in sorted(windows)])
    if rule.comparison == "below":
        question = red_question(rule, rule.seconds, below_settle_s)
        if rule.signal == Signal.REQUEST_RATE:
            return question, known_question(rule)
        return (question,)
    return (red_question(rule, rule.seconds),)


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

"""From answers to observations: what a rule finds of each of its groups.

Pure. A group is the values of the rule's labels, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import cast

from alerting.patterns import matches, pattern_of
from alerting.questions import (
    LagQuestion,
    MetricQuestion,
    Question,
    ResourceQuestion,
    absence_windows,
    known_question,
    metric_question,
    questions_of,
    red_question,
)
from alerting.rules import LATENCIES, RED_SIGNALS, RESOURCE_LABELS, RESOURCE_SIGNALS, SHARES, Rule, Signal
from alerting.settings import AlertingSettings
from alerting.states import Conditions, Observation
from query import GroupBy, MetricAnswer, RedTotal, Resource, ResourcesAnswer, Usage, WindowTotals
from query.health import wilson_lower_bound

Group = tuple[str, ...]
Answer = WindowTotals | MetricAnswer | ResourcesAnswer | float
Answers = Mapping[Question, Answer]
Matcher = tuple[int, re.Pattern[str] | str]


@dataclass(frozen=True)
class Watch:
    """A rule, made ready to be evaluated."""

    rule: Rule
    revision: int
    conditions: Conditions
    questions: tuple[Question, ...]
    below_settle_s: int
    z: float

    @classmethod
    def of(cls, rule: Rule, revision: int, settings: AlertingSettings) -> Watch:
        """Return the watch of a rule."""
        z = NormalDist().inv_cdf(0.5 + rule.confidence / 2) if rule.confidence else 0.0
        questions = questions_of(rule, settings.below_settle_s)
        return cls(rule, revision, Conditions.of(rule, settings), questions, settings.below_settle_s, z)

    def labels_of(self, group: Group) -> dict[str, str]:
        """Return what a group is called, without the labels that it does not have."""
        return {name: value for name, value in zip(self.rule.labels, group, strict=True) if value}

    def is_of_same_thing(self, other: Watch) -> bool:
        """Tell whether what was found by one can be carried on by the other."""
        mine, others = self.rule, other.rule
        return (mine.signal, mine.metric, mine.labels) == (others.signal, others.metric, others.labels)

    def is_about(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an alert of these labels can be one of the rule."""
        own = self.rule.labels
        return set(labels) <= set(own) and all(
            matches(labels.get(own[at], ""), wanted) for at, wanted in matchers_of(self.rule.scope, own)
        )


def observe(watch: Watch, answers: Answers, now_s: float) -> dict[Group, Observation]:
    """Return what is found of each group that there is."""
    signal = watch.rule.signal
    if signal == Signal.PIPELINE_LAG:
        lag_s = cast(float, answers[LagQuestion()])
        return {(): Observation(lag_s, lag_s)}
    if signal not in RED_SIGNALS:
        return _resources(watch, answers) if signal in RESOURCE_SIGNALS else _metric(watch, answers)
    if signal == Signal.ABSENCE:
        return _absence(watch, answers, now_s)
    question = watch.questions[0]
    totals = cast(WindowTotals, answers[question])
    found = dict(_observations(watch, totals))
    if signal == Signal.REQUEST_RATE and watch.rule.comparison == "below":
        known = cast(WindowTotals, answers[known_question(watch.rule)])
        for group in _groups(watch, known):
            found.setdefault(group, Observation(0.0, 0.0))
    return found


def window_observations(watch: Watch, totals: WindowTotals) -> dict[Group, Observation]:
    """Return what a window says of the groups that have calls in it; for signals other than absence."""
    return dict(_observations(watch, totals))


def _observations(watch: Watch, totals: WindowTotals) -> Iterable[tuple[Group, Observation]]:
    rule, labels = watch.rule, cast(Sequence[GroupBy], watch.rule.labels)
    if rule.signal == Signal.APDEX:
        for group, calls, score in totals.apdex(labels, _chosen(rule, totals)):
            yield group, _score(rule, calls, score)
        return
    make = _MAKERS[rule.signal]
    for group, total in totals.select(labels, _chosen(rule, totals)):
        yield group, make(watch, total)


def _groups(watch: Watch, totals: WindowTotals) -> Iterable[Group]:
    return totals.last_seen_s(cast(Sequence[GroupBy], watch.rule.labels), _chosen(watch.rule, totals))


def _chosen(rule: Rule, totals: WindowTotals) -> Sequence[Group]:
    """Return the groups of the answer that the rule's scope lets through."""
    if not rule.scope:
        return totals.groups()
    exact = [(label, value) for label, value in rule.scope.items() if "*" not in value]
    if exact:
        label, value = exact[0]
        groups = totals.groups_with(cast(GroupBy, label), value)
    else:
        groups = totals.groups()
    matchers = matchers_of(rule.scope, totals.fields)
    return [group for group in groups if all(matches(group[at], wanted) for at, wanted in matchers)]


def matchers_of(scope: Mapping[str, str], labels: Sequence[str]) -> list[Matcher]:
    """Return at which place of a group which value is wanted; labels that groups do not have are left out."""
    return [(labels.index(label), pattern_of(wanted)) for label, wanted in scope.items() if label in labels]


def _latency(watch: Watch, total: RedTotal) -> Observation:
    value = {
        Signal.LATENCY_P50: total.p50_s,
        Signal.LATENCY_P95: total.p95_s,
        Signal.LATENCY_P99: total.p99_s,
    }[watch.rule.signal]
    if total.calls < watch.rule.min_requests:
        return Observation(value, None, _too_few(watch.rule, total.calls))
    return Observation(value, value)


def _share(watch: Watch, total: RedTotal) -> Observation:
    hits = total.errors if watch.rule.signal == Signal.ERROR_RATE else total.client_errors
    value = hits / total.calls if total.calls else 0.0
    if total.calls < watch.rule.min_requests:
        return Observation(value, None, _too_few(watch.rule, total.calls))
    return Observation(value, wilson_lower_bound(hits, total.calls, watch.z) if watch.z else value)


def _score(rule: Rule, calls: int, score: float) -> Observation:
    return Observation(score, score) if calls >= rule.min_requests else Observation(score, None, _too_few(rule, calls))


def _rate(_watch: Watch, total: RedTotal) -> Observation:
    return Observation(total.rate_per_s, total.rate_per_s)


_MAKERS = {
    **dict.fromkeys(LATENCIES, _latency),
    **dict.fromkeys(SHARES, _share),
    Signal.REQUEST_RATE: _rate,
}


def _too_few(rule: Rule, calls: int) -> str:
    return f"{calls} of the {rule.min_requests} requests that are needed to judge by"


def _absence(watch: Watch, answers: Answers, now_s: float) -> dict[Group, Observation]:
    """Tell for how long there was no call. Old buckets are wide, so it is the windows that decide, not the age."""
    rule = watch.rule
    labels = cast(Sequence[GroupBy], rule.labels)
    known = cast(WindowTotals, answers[red_question(rule, rule.seconds)])
    absent_s = {
        group: max(now_s - last_s - 1, 0.0) for group, last_s in known.last_seen_s(labels, _chosen(rule, known)).items()
    }
    for threshold, window_s in sorted(absence_windows(rule).items(), reverse=True):
        window = cast(WindowTotals, answers[red_question(rule, window_s)])
        present = set(_groups(watch, window))
        for group, age_s in absent_s.items():
            if group in present:
                absent_s[group] = min(age_s, threshold)
            elif age_s <= threshold:
                absent_s[group] = threshold + 1
    return {group: Observation(age_s, age_s) for group, age_s in absent_s.items()}


def _metric(watch: Watch, answers: Answers) -> dict[Group, Observation]:
    question = metric_question(watch.rule)
    values = _values(cast(MetricAnswer, answers[question]), question)
    return _scoped(watch, values)


def _resources(watch: Watch, answers: Answers) -> dict[Group, Observation]:
    answer = cast(ResourcesAnswer, answers[ResourceQuestion(watch.rule.seconds)])
    return resource_observations(watch, ((one, one.mean) for one in answer.items))


def resource_observations(watch: Watch, usages: Iterable[tuple[Resource, Usage]]) -> dict[Group, Observation]:
    """Return what containers and processes use; of several in one group, the worst."""
    rule = watch.rule
    if rule.signal == Signal.RESTARTS:
        usages = _lines(usages)
    worst = max if rule.comparison == "above" else min
    matchers = matchers_of(rule.scope, RESOURCE_LABELS)
    found: dict[Group, float] = {}
    for resource, usage in usages:
        value = _usage_of(rule.signal, resource, usage)
        labels = resource_labels(resource)
        if value is None or not all(matches(labels[RESOURCE_LABELS[at]], wanted) for at, wanted in matchers):
            continue
        group = tuple([labels[name] for name in rule.labels])
        found[group] = worst(found.get(group, value), value)
    return {group: Observation(value, value) for group, value in found.items()}


def _lines(usages: Iterable[tuple[Resource, Usage]]) -> Iterator[tuple[Resource, Usage]]:
    """Let processes that took each other's place be one: the last of them, with the restarts of all."""
    lines: dict[tuple[str, str], list[tuple[Resource, Usage]]] = {}
    for resource, usage in usages:
        if resource.identity.line:
            lines.setdefault((resource.identity.host, resource.identity.line), []).append((resource, usage))
        else:
            yield resource, usage
    for line in lines.values():
        last, usage = max(line, key=lambda one: one[0].last_seen_s)
        yield replace(last, new_restarts=sum(one.new_restarts or 0 for one, _ in line)), usage


def resource_labels(resource: Resource) -> dict[str, str]:
    """Return what a container or process is called, by the names of `RESOURCE_LABELS`."""
    owner, identity = resource.owner, resource.identity
    return {
        "service": owner.service,
        "instance": owner.instance,
        "environment": owner.environment,
        "container": identity.container_name,
        "image": identity.image,
        "project": identity.compose_project,
        "host": identity.host,
        "pid": identity.pid,
    }


def _usage_of(signal: Signal, resource: Resource, usage: Usage) -> float | None:
    if signal == Signal.CPU:
        return usage.cpu_share
    if signal == Signal.MEMORY:
        return usage.memory_share
    if signal == Signal.THROTTLING:
        # No period counts while nothing wants to run: who waits for nothing is not made to wait.
        return 0.0 if usage.periods_per_s == 0 else usage.throttled_share
    return None if resource.new_restarts is None else float(resource.new_restarts)


def _values(answer: MetricAnswer, question: MetricQuestion) -> dict[Group, float]:
    return {
        tuple([item.labels[name] for name in question.group_by]): value
        for item in answer.items
        if (value := item.values[-1]) is not None
    }


def _scoped(watch: Watch, values: Mapping[Group, float]) -> dict[Group, Observation]:
    matchers = matchers_of(watch.rule.scope, watch.rule.labels)
    return {
        group: Observation(value, value)
        for group, value in values.items()
        if all(matches(group[at], wanted) for at, wanted in matchers)
    }

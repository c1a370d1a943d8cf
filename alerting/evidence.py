"""What else is known of when an alert fired: its figures, who contributed most, CPU and memory at that minute.

Asked only for alerts that are about to be told, and only for a moment: a notification without evidence is better than
one that comes late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final, cast

import structlog

from alerting.notification import Contributor, Evidence
from alerting.observing import Watch, matchers_of, resource_labels
from alerting.patterns import matches
from alerting.questions import RedQuestion, ResourceQuestion
from alerting.reading import Reader
from alerting.rules import LATENCIES, RED_LABELS, RED_SIGNALS, RESOURCE_LABELS, RESOURCE_SIGNALS, SHARES, Rule, Signal
from alerting.settings import AlertingSettings
from query import GroupBy, RedTotal, ResourcesAnswer, WindowTotals
from telemetry import REQUEST_KINDS, ModelWatchError

log = structlog.get_logger(__name__)

_DIMENSIONS: Final = ("service", "route", "version", "instance")
_MINUTE_S: Final = 60
_LONGEST_WINDOW_S: Final = 3_600


class EvidenceFinder:
    """Asks for the evidence of one alert after the other."""

    def __init__(self, settings: AlertingSettings, reader: Reader) -> None:
        self._settings = settings
        self._reader = reader

    async def find(self, watch: Watch, labels: Mapping[str, str], at_s: float) -> Evidence | None:
        """Return the evidence as of `at_s`, if it is there within the time that is allowed. Never raises."""
        try:
            async with asyncio.timeout(self._settings.evidence_timeout_s):
                return await self._find(watch, labels, at_s)
        except (TimeoutError, ModelWatchError) as error:
            log.info("no evidence for a notification", rule_id=watch.rule.rule_id, reason=str(error) or "too slow")
        except Exception:
            log.exception("no evidence for a notification", rule_id=watch.rule.rule_id)
        return None

    async def _find(self, watch: Watch, labels: Mapping[str, str], at_s: float) -> Evidence | None:
        rule = watch.rule
        if rule.signal == Signal.PIPELINE_LAG:
            return None
        labels, scope = _subject(rule, labels)
        window_s = min(rule.seconds, _LONGEST_WINDOW_S)
        red = {
            name: RedQuestion(window_s, _fields({*labels, *scope, name, *_told_by(rule)}), kinds=_kinds(rule))
            for name in _dimensions(rule, labels)
        }
        used = ResourceQuestion(_MINUTE_S)
        # Without a service nobody can say which containers answered.
        has_resources = "service" in labels or rule.signal in RESOURCE_SIGNALS
        if not red and not has_resources:
            return None
        answers, _ = await self._reader.answers({*red.values(), *([used] if has_resources else [])}, int(at_s))
        totals = {name: cast(WindowTotals, answers[question]) for name, question in red.items() if question in answers}
        whole = _whole(next(iter(totals.values()), None), labels, scope)
        return Evidence(
            at_s=at_s,
            window_s=window_s,
            **whole,
            contributors=tuple(
                [
                    found
                    for name, of_name in totals.items()
                    if name and (found := _contributor(watch, name, of_name, labels, scope)) is not None
                ]
            ),
            **_used(cast(ResourcesAnswer, answers[used]), labels) if used in answers else {},
        )


def _subject(rule: Rule, labels: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return what an alert is about: the labels that are known of it, and what else its rule wants of them.

    What a metric calls its other labels may mean anything: of these alerts the service alone is known.
    """
    labels = {**{name: value for name, value in rule.scope.items() if "*" not in value}, **labels}
    if rule.signal == Signal.METRIC:
        return {name: value for name, value in labels.items() if name == "service"}, {}
    return labels, rule.scope


def _kinds(rule: Rule) -> frozenset[str]:
    return rule.span_kinds if rule.signal in RED_SIGNALS else frozenset(REQUEST_KINDS)


def _dimensions(rule: Rule, labels: Mapping[str, str]) -> list[str]:
    """Return by what to look for who contributes most, `""` for nothing more; nothing if requests say nothing of it."""
    if "service" not in labels and rule.signal not in RED_SIGNALS:
        return []
    return [name for name in _DIMENSIONS if name not in labels] or [""]


def _told_by(rule: Rule) -> tuple[str, ...]:
    """Return what else must be known of calls: how content callers are is told by the target of the service."""
    return ("service",) if rule.signal == Signal.APDEX else ()


def _fields(names: Collection[str]) -> tuple[str, ...]:
    return tuple([label for label in RED_LABELS if label in names])


def _used(answer: ResourcesAnswer, labels: Mapping[str, str]) -> dict[str, float | None]:
    """Return CPU and memory of what the alert is about: of all instances together, and the largest share of any."""
    wanted = {name: value for name, value in labels.items() if name in RESOURCE_LABELS}
    usages = [
        one.mean for one in answer.items if all(value == resource_labels(one)[name] for name, value in wanted.items())
    ]
    cores = [usage.cpu_cores for usage in usages if usage.cpu_cores is not None]
    memory = [usage.memory_bytes for usage in usages if usage.memory_bytes is not None]
    return {
        "cpu_cores": sum(cores) if cores else None,
        "cpu_share": max((usage.cpu_share for usage in usages if usage.cpu_share is not None), default=None),
        "memory_bytes": sum(memory) if memory else None,
        "memory_share": max((usage.memory_share for usage in usages if usage.memory_share is not None), default=None),
    }


def _inside(totals: WindowTotals, labels: Mapping[str, str], scope: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the groups that have an alert's labels, and are what its rule is about by all that it does not tell."""
    wanted = [(at, labels[name]) for at, name in enumerate(totals.fields) if name in labels]
    others = [one for one in matchers_of(scope, totals.fields) if totals.fields[one[0]] not in labels]
    service = labels.get("service")
    return [
        group
        for group in (totals.groups() if service is None else totals.groups_with("service", service))
        if all(group[at] == value for at, value in wanted) and all(matches(group[at], one) for at, one in others)
    ]


def _whole(
    totals: WindowTotals | None, labels: Mapping[str, str], scope: Mapping[str, str]
) -> dict[str, float | int | None]:
    if totals is None:
        return {}
    found = [total for _, total in totals.select((), _inside(totals, labels, scope))]
    if not found:
        return {"calls": 0, "errors": 0, "client_errors": 0, "rate_per_s": 0.0}
    total = found[0]
    return {
        "calls": total.calls,
        "errors": total.errors,
        "client_errors": total.client_errors,
        "rate_per_s": total.rate_per_s,
        "p50_s": total.p50_s,
        "p95_s": total.p95_s,
        "p99_s": total.p99_s,
    }


def _contributor(
    watch: Watch, dimension: str, totals: WindowTotals, labels: Mapping[str, str], scope: Mapping[str, str]
) -> Contributor | None:
    group_by, inside = (cast(GroupBy, dimension),), _inside(totals, labels, scope)
    found = [(name, total) for (name,), total in totals.select(group_by, inside) if name]
    if not found:
        return None
    if watch.rule.signal == Signal.APDEX:
        scores = {name: score for (name,), _, score in totals.apdex(group_by, inside)}
        found = [(name, replace(total, apdex=scores[name])) for name, total in found]
    name, top = max(found, key=lambda one: (_weight(watch, one[1]), one[0]))
    whole = sum(_amount(watch, total) for _, total in found)
    return Contributor(
        dimension=dimension,
        name=name,
        calls=top.calls,
        errors=top.errors,
        p95_s=top.p95_s,
        share=_amount(watch, top) / whole if whole else 0.0,
    )


def _amount(watch: Watch, total: RedTotal) -> float:
    if watch.rule.signal == Signal.APDEX:
        return total.calls * (1 - (1 if total.apdex is None else total.apdex))
    if watch.rule.signal in SHARES:
        return total.errors if watch.rule.signal == Signal.ERROR_RATE else total.client_errors
    return total.calls


def _weight(watch: Watch, total: RedTotal) -> tuple[float, float]:
    """Say who contributes most: for errors who has most of them, for latency the busiest of those that are slow.

    For Apdex who has most of the calls that callers were not content with, those that they tolerated by half.
    """
    if watch.rule.signal in LATENCIES:
        slow = watch.conditions.is_bad(total.p95_s)
        return (float(total.calls) if slow else 0.0, total.p95_s or 0.0)
    return float(_amount(watch, total)), float(total.calls)

"""What else is known of when an alert fired: its figures, who contributed most, CPU and memory at that minute.

Asked only for alerts that are about to be told, and only for a moment: a notification without evidence is better than
one that comes late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, cast

import structlog

from alerting.notification import Contributor, Evidence
from alerting.observing import Watch, matchers_of, resource_labels
from alerting.patterns import matches
from alerting.questions import RedQuestion, ResourceQuestion
from alerting.reading import Reader
from alerting.rules import LATENCIES, RED_LABELS, RED_SIGNALS, RESOURCE_LABELS, RESOURCE_SIGNALS, SHARES, Signal
from alerting.settings import AlertingSettings
from query import GroupBy, RedTotal, ResourcesAnswer, WindowTotals
from telemetry import ModelWatchError

log = structlog.get_logger(__name__)

_DIMENSIONS: Final = ("route", "version", "instance")
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
        labels = {**{name: value for name, value in watch.rule.scope.items() if "*" not in value}, **labels}
        if "service" not in labels or watch.rule.signal not in RED_SIGNALS | RESOURCE_SIGNALS:
            return None
        window_s = min(watch.rule.seconds, _LONGEST_WINDOW_S)
        scope = {*labels, *watch.rule.scope}
        wanted = [name for name in _DIMENSIONS if name not in labels]
        kinds = watch.rule.span_kinds
        red = {name: RedQuestion(window_s, _fields({*scope, name}), kinds=kinds) for name in wanted or [""]}
        used = ResourceQuestion(_MINUTE_S)
        answers, _ = await self._reader.answers({*red.values(), used}, int(at_s))
        totals = {name: cast(WindowTotals, answers[question]) for name, question in red.items() if question in answers}
        whole = _whole(watch, next(iter(totals.values()), None), labels)
        return Evidence(
            at_s=at_s,
            window_s=window_s,
            **whole,
            contributors=tuple(
                [
                    found
                    for name, of_name in totals.items()
                    if name and (found := _contributor(watch, name, of_name, labels)) is not None
                ]
            ),
            **_used(cast(ResourcesAnswer, answers[used]), labels) if used in answers else {},
        )


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


def _inside(watch: Watch, totals: WindowTotals, labels: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the groups that have an alert's labels, and are what its rule is about by all that it does not tell."""
    wanted = [(at, labels[name]) for at, name in enumerate(totals.fields) if name in labels]
    others = [one for one in matchers_of(watch.rule.scope, totals.fields) if totals.fields[one[0]] not in labels]
    return [
        group
        for group in totals.groups_with("service", labels["service"])
        if all(group[at] == value for at, value in wanted) and all(matches(group[at], one) for at, one in others)
    ]


def _whole(watch: Watch, totals: WindowTotals | None, labels: Mapping[str, str]) -> dict[str, float | int | None]:
    if totals is None:
        return {}
    found = [total for _, total in totals.select((), _inside(watch, totals, labels))]
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


def _contributor(watch: Watch, dimension: str, totals: WindowTotals, labels: Mapping[str, str]) -> Contributor | None:
    field = cast(GroupBy, dimension)
    found = [(name, total) for (name,), total in totals.select((field,), _inside(watch, totals, labels)) if name]
    if not found:
        return None
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


def _amount(watch: Watch, total: RedTotal) -> int:
    if watch.rule.signal in SHARES:
        return total.errors if watch.rule.signal == Signal.ERROR_RATE else total.client_errors
    return total.calls


def _weight(watch: Watch, total: RedTotal) -> tuple[float, float]:
    """Say who contributes most: for errors who has most of them, for latency the busiest of those that are slow."""
    if watch.rule.signal in LATENCIES:
        slow = watch.conditions.is_bad(total.p95_s)
        return (float(total.calls) if slow else 0.0, total.p95_s or 0.0)
    return float(_amount(watch, total)), float(total.calls)

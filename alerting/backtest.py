"""When a rule would have fired: the observations and the states of the evaluator, replayed over the history.

Asked by the editor before a rule is saved. It looks at every step of the history, as fine as that is kept and the range
allows, so between two looks it may miss what the evaluator, looking every few seconds, would have seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from alerting.evaluation import Evaluated, evaluate
from alerting.notification import Severity
from alerting.observing import Answer, Group, Watch, observe, resource_observations, window_observations
from alerting.questions import MetricQuestion, Question, red_fields
from alerting.reading import Asking
from alerting.rules import RESOURCE_SIGNALS, Rule, Signal
from alerting.settings import AlertingSettings
from alerting.states import Observation, Phase
from query import GroupBy, MetricAnswer, MetricValues, QuestionError, ResourcesAnswer, SlidingTotals
from storage.ports import SeriesFilter

_MOST_STEPS: Final = 1_440
_MOST_EPISODES: Final = 1_000
_MOST_SERIES: Final = 10
_FIRES: Final = (Phase.FIRING, Phase.NO_DATA)

Moment = tuple[int, Mapping[Group, Observation]]
"""The end of a step, and what was found by then."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A time that an alert would have fired for. `ended_s` is `None` if it still fires at the end."""

    labels: Mapping[str, str]
    started_s: float
    ended_s: float | None
    severity: Severity
    peak: float | None
    """The value farthest beyond the threshold."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The values of one group, one for the end of each step; `None` where there was nothing to judge."""

    labels: Mapping[str, str]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What the rule would have done, looked at every `step_s` seconds over `window_s` seconds.

    First one step after `start_s`, which is a multiple of the step, and last at `end_s`, which is never in the future.
    """

    start_s: int
    end_s: int
    step_s: int
    window_s: int
    groups: int
    fired: int
    """How often an alert would have begun to fire."""
    firing_s: float
    """For how long in all, over all groups."""
    longest_s: float
    episodes: tuple[Episode, ...]
    """In the order of their beginnings; the first ones if there are very many."""
    series: tuple[Replayed, ...]
    """Of the groups that came farthest."""


class Backtester:
    """Replays rules."""

    def __init__(self, settings: AlertingSettings, asking: Asking) -> None:
        self._settings = settings
        self._query, self._metrics, self._resources = asking
        self._one_at_a_time = asyncio.Lock()

    async def backtest(self, rule: Rule, start_s: int, end_s: int) -> Backtest:
        """Return when the rule would have fired, once no other is replayed: it is much work beside live figures.

        Raises `QuestionError` and `StorageUnavailableError`.
        """
        if end_s <= start_s:
            raise QuestionError("end_s", "the end must be after the start")
        if rule.signal in (Signal.PIPELINE_LAG, Signal.RESTARTS):
            raise QuestionError("signal", f"{rule.signal.value} is not kept step by step, so it cannot be replayed")
        async with self._one_at_a_time:
            return await self._backtest(rule, start_s, end_s)

    async def _backtest(self, rule: Rule, start_s: int, end_s: int) -> Backtest:
        step_s = max(rule.interval_s, -(-(end_s - start_s) // _MOST_STEPS))
        # What the evaluator keeps quiet at first and for too many alerts has no place here.
        # It is never late for a step, whatever the interval: by whole seconds, each is of its own time.
        replayed = rule.model_copy(update={"grace_s": 0.0, "is_enabled": True, "interval_s": 1})
        watch = Watch.of(replayed, 0, self._settings)
        if rule.signal in RESOURCE_SIGNALS:
            step_s = max(step_s, rule.seconds)
            resources = await self._resources.resources(start_s, end_s, step_s)
            span = (start_s, end_s, resources.step_s, resources.step_s)
            return await asyncio.to_thread(_replay, watch, _usages(watch, resources), span, self._settings)
        if rule.signal == Signal.METRIC:
            return await self._of_metrics(watch, start_s, end_s, step_s)
        fields = cast(tuple[GroupBy, ...], red_fields(rule))
        window_s = step_s if rule.signal == Signal.ABSENCE else rule.seconds
        where = SeriesFilter(span_kinds=rule.span_kinds)
        totals = await self._query.sliding_totals(start_s, end_s, step_s, window_s, fields, where)
        moments = _absences(watch, totals, end_s) if rule.signal == Signal.ABSENCE else _windows(watch, totals)
        return await asyncio.to_thread(
            _replay, watch, moments, (start_s, end_s, totals.step_s, totals.window_s), self._settings
        )

    async def _of_metrics(self, watch: Watch, start_s: int, end_s: int, step_s: int) -> Backtest:
        step_s = max(step_s, watch.rule.seconds)
        answers: dict[Question, MetricAnswer] = {}
        for question in watch.questions:
            assert isinstance(question, MetricQuestion)
            answers[question] = await self._metrics.metric(
                start_s, end_s, step_s, question.where, question.group_by, question.aggregation
            )
        step_s = next(iter(answers.values())).step_s
        moments = _readings(watch, answers)
        return await asyncio.to_thread(_replay, watch, moments, (start_s, end_s, step_s, step_s), self._settings)


def _windows(watch: Watch, totals: SlidingTotals) -> Iterator[Moment]:
    known: dict[Group, None] = {}
    counts_silence = watch.rule.signal == Signal.REQUEST_RATE and watch.rule.comparison == "below"
    for window in totals.windows():
        found = window_observations(watch, window)
        if counts_silence:
            known |= dict.fromkeys(found)
            found = {group: found.get(group, Observation(0.0, 0.0)) for group in known}
        yield window.end_s, found


def _absences(watch: Watch, totals: SlidingTotals, end_s: int) -> Iterator[Moment]:
    """Tell by the steps that held a call; a group is known for as long as the rule says."""
    seen_s: dict[Group, int] = {}
    present = replace(watch, rule=watch.rule.model_copy(update={"signal": Signal.REQUEST_RATE}))
    for window in totals.windows():
        at_s = min(window.end_s, end_s)
        seen_s |= dict.fromkeys(window_observations(present, window), at_s)
        ages = {group: float(at_s - last_s) for group, last_s in seen_s.items()}
        known = {group: Observation(age_s, age_s) for group, age_s in ages.items() if age_s <= watch.rule.seconds}
        yield window.end_s, known


def _usages(watch: Watch, answer: ResourcesAnswer) -> Iterator[Moment]:
    for number in range(-(-(answer.end_s - answer.start_s) // answer.step_s)):
        end_s = min(answer.start_s + (number + 1) * answer.step_s, answer.end_s)
        yield end_s, resource_observations(watch, ((one, one.steps[number]) for one in answer.items))


def _readings(watch: Watch, answers: Mapping[Question, MetricAnswer]) -> Iterator[Moment]:
    first = next(iter(answers.values()))
    count = max((len(item.values) for answer in answers.values() for item in answer.items), default=0)
    for number in range(count):
        end_s = min(first.start_s + (number + 1) * first.step_s, first.end_s)
        at: dict[Question, Answer] = {
            question: replace(
                answer,
                items=tuple(
                    [
                        MetricValues(item.labels, (item.values[number],))
                        for item in answer.items
                        if number < len(item.values)
                    ]
                ),
            )
            for question, answer in answers.items()
        }
        yield end_s, observe(watch, at, end_s)


class _Recorder:
    """Episodes and values as they come."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._farther = max if watch.conditions.is_above else min
        self._running: dict[Group, Episode] = {}
        self.ended: list[Episode] = []
        self.values: dict[Group, list[float | None]] = {}
        self.steps = 0

    def note(self, now_s: float, seen: Mapping[Group, Observation], found: Evaluated) -> None:
        for group, observation in seen.items():
            row = self.values.setdefault(group, [])
            row += [None] * (self.steps - len(row))
            row.append(observation.value)
        self.steps += 1
        for group, alert in found.alerts.items():
            state = alert.state
            running = self._running.get(group)
            if state.phase in _FIRES and state.severity is not None:
                if running is None:
                    running = Episode(alert.labels, now_s, None, state.severity, state.value)
                worst = state.worst or state.severity
                peaks = [value for value in (running.peak, state.value) if value is not None]
                self._running[group] = replace(running, severity=worst, peak=self._farther(peaks, default=None))
            elif running is not None:
                self.ended.append(replace(self._running.pop(group), ended_s=now_s))

    def episodes(self) -> list[Episode]:
        return sorted([*self.ended, *self._running.values()], key=lambda one: one.started_s)

    def series(self) -> list[Replayed]:
        rows = {
            group: (*row, *[None] * (self.steps - len(row)))
            for group, row in self.values.items()
            if any(value is not None for value in row)
        }
        peaks = {group: self._farther(value for value in row if value is not None) for group, row in rows.items()}
        order = sorted(rows, key=lambda group: peaks[group], reverse=self._watch.conditions.is_above)
        return [Replayed(self._watch.labels_of(group), rows[group]) for group in order[:_MOST_SERIES]]


def _replay(
    watch: Watch, moments: Iterator[Moment], span: tuple[int, int, int, int], settings: AlertingSettings
) -> Backtest:
    """Go through those moments that lie in the time asked for.

    A last step that its end cuts short is judged all the same, but not whether it holds too little.
    """
    start_s, end_s, step_s, window_s = span
    latest_s = end_s if watch.rule.comparison == "below" else end_s + step_s
    began_s: int | None = None
    recorder = _Recorder(watch)
    known: dict[Group, object] = {}
    alerts = Evaluated().alerts
    last_s: int | None = None
    # A step may be longer than a pause that the evaluator would not count.
    patient = settings.model_copy(update={"max_gap_s": max(settings.max_gap_s, 2.0 * step_s)})
    for moment_s, seen in moments:
        now_s = min(moment_s, end_s)
        if moment_s > latest_s or now_s <= (start_s if last_s is None else last_s):
            continue
        began_s = moment_s - step_s if began_s is None else began_s
        found = evaluate(watch, alerts, seen, now_s, last_s, patient, settings.max_open_alerts)
        recorder.note(now_s, seen, found)
        alerts, last_s = found.alerts, now_s
        known |= dict.fromkeys(seen)
    episodes = recorder.episodes()
    lengths = [(one.ended_s if one.ended_s is not None else last_s or end_s) - one.started_s for one in episodes]
    return Backtest(
        start_s if began_s is None else began_s,
        end_s if last_s is None else last_s,
        step_s,
        window_s,
        len(known),
        len(episodes),
        sum(lengths),
        max(lengths, default=0.0),
        tuple(episodes[:_MOST_EPISODES]),
        tuple(recorder.series()),
    )

"""How the state of an alert moves: a table of scenarios, observation by observation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from alerting.notification import Severity
from alerting.rules import Rule, Signal
from alerting.settings import AlertingSettings
from alerting.states import NOTHING, AlertState, Conditions, Observation, Phase, put_back, step, unwatched

START_S = 1_700_000_000.0
SETTINGS = AlertingSettings(flapping_changes=4, flapping_window_s=300, no_data_gone_s=600)


def conditions(**changes: Any) -> Conditions:
    """Warning above 10, critical above 20, at once, and off at once."""
    fields: dict[str, Any] = {"warning": 10, "critical": 20, "keep_firing_for_s": 0, "no_data_after_s": 20} | changes
    return Conditions.of(Rule(rule_id="r", name="R", signal=Signal.REQUEST_RATE, **fields), SETTINGS)


def observed(value: float | None) -> Observation:
    return NOTHING if value is None else Observation(value, value)


def run(
    values: Sequence[float | None], rule: Conditions, interval_s: float = 5, state: AlertState | None = None
) -> list[AlertState]:
    """Return the state after each value, one every `interval_s`."""
    state = state or AlertState(START_S)
    began_s = START_S
    found = []
    for number, value in enumerate(values):
        state, _ = step(state, observed(value), began_s + number * interval_s, rule)
        found.append(state)
    return found


def short(states: Sequence[AlertState]) -> str:
    """One letter for each state: inactive, pending, warning, critical, no data (n), resolved."""
    return "".join(
        {Severity.WARNING: "w", Severity.CRITICAL: "c", None: "?"}[state.severity]
        if state.phase == Phase.FIRING
        else state.phase.value[0]
        for state in states
    )


SCENARIOS: dict[str, tuple[dict[str, Any], Sequence[float | None], str]] = {
    "below, equal, above": ({}, [9, 10, 10.1, 20, 20.1], "iiwwc"),
    "at once on and at once off": ({}, [11, 9, 21, 9], "wrcr"),
    "for must last without a break": ({"for_s": 10}, [11, 11, 9, 11, 11, 11], "ppippw"),
    "for of each threshold by itself": ({"for_s": 10}, [11, 21, 21, 21, 21], "ppwcc"),
    "critical at first needs its time too": ({"for_s": 5}, [21, 21], "pc"),
    "keep firing must last without a break": (
        {"keep_firing_for_s": 10},
        [11, 9, 9, 11, 9, 9, 9],
        "wwwwwwr",
    ),
    "from critical down to a warning, then off": ({"keep_firing_for_s": 10}, [21, 11, 11, 11, 9, 9, 9], "cccwwwr"),
    "straight down": ({"keep_firing_for_s": 10}, [21, 9, 9, 9], "cccr"),
    "only a warning": ({"critical": None}, [9, 99, 9], "iwr"),
    "only critical": ({"warning": None}, [19, 21, 19], "icr"),
    "below is bad": ({"comparison": "below", "warning": 10, "critical": 5}, [11, 10, 9, 5, 4, 10], "iiwwcr"),
    "nothing seen at first": ({}, [None, None, 11], "iiw"),
    "nothing while pending begins anew": ({"for_s": 10}, [11, 11, None, 11, 11, 11], "ppippw"),
    "nothing while firing is told after a while": ({}, [11, None, None, None, None, None, None], "wwwwwnn"),
    "back and bad": ({}, [11, None, None, None, None, None, 11], "wwwwwnw"),
    "back and good": (
        {"keep_firing_for_s": 5},
        [11, None, None, None, None, None, 9, 9],
        "wwwwwnnr",
    ),
    "good, and nothing in between, is good": (
        {"keep_firing_for_s": 10, "on_no_data": "keep"},
        [11, 9, None, 9, None, 9],
        "wwwrrr",
    ),
    "resolve on no data": ({"on_no_data": "resolve"}, [11, None, None, None, None, None], "wwwwwr"),
    "keep on no data": ({"on_no_data": "keep"}, [11] + [None] * 200, "w" * 201),
    "gone for good": ({}, [11] + [None] * 125, "wwwww" + "n" * 116 + "r" * 5),
    "resolved and bad again": ({"for_s": 5}, [11, 11, 9, 9, 11, 11], "pwrrpw"),
    "new, and not judged yet": ({"grace_s": 12}, [99, 99, 99, 99], "iiic"),
    "zero is a value": ({"comparison": "below", "warning": 1, "critical": None}, [0.0, 2], "wr"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_table_of_scenarios(name: str) -> None:
    """Each row says what a sequence of values amounts to, step by step."""
    changes, values, expected = SCENARIOS[name]
    assert short(run(values, conditions(**changes))) == expected


def test_a_transition_says_from_where_to_where_with_the_numbers_and_why() -> None:
    """And there is one for each change, numbered, and none without."""
    rule = conditions(for_s=10, keep_firing_for_s=10)
    state, transitions = AlertState(START_S), []
    for number, value in enumerate([11, 12, 21, 21, 21, 9, 9, 9]):
        state, transition = step(state, observed(value), START_S + 5 * number, rule)
        if transition is not None:
            transitions.append(transition)
    assert [(one.at_s - START_S, one.before, one.after, one.severity, one.value) for one in transitions] == [
        (0, Phase.INACTIVE, Phase.PENDING, None, 11),
        (10, Phase.PENDING, Phase.FIRING, Severity.WARNING, 21),
        (20, Phase.FIRING, Phase.FIRING, Severity.CRITICAL, 21),
        (35, Phase.FIRING, Phase.RESOLVED, None, 9),
    ]
    assert [one.threshold for one in transitions] == [10, 10, 20, 20]
    assert [one.reason for one in transitions] == [
        "above the threshold, but not for 10 s yet",
        "above the threshold for 10 s",
        "above the threshold for 10 s",
        "not above the threshold for 10 s",
    ]
    assert (state.sequence, state.started_s, state.ended_s) == (4, START_S + 10, START_S + 35)
    assert state.worst == Severity.CRITICAL


def test_an_episode_remembers_its_own_worst_and_its_own_start() -> None:
    """A warning after a critical alert is a warning, and began when it began."""
    states = run([21, 9, 11, 9], conditions())
    assert [state.worst for state in states] == [
        Severity.CRITICAL,
        Severity.CRITICAL,
        Severity.WARNING,
        Severity.WARNING,
    ]
    assert [state.started_s - START_S for state in states] == [0, 0, 10, 10]


def test_flapping_is_recognised_and_held() -> None:
    """From the fourth change on within the time it stays on, until it has been calm for that time."""
    swings = [11, 9] * 30
    states = run([*swings, *[9] * 70], conditions())
    assert short(states[:6]) == "wrwrww"
    assert [state.is_flapping for state in states[:6]] == [False, False, False, False, True, True]
    last_swing = len(swings) - 1
    assert short(states[4 : last_swing + 60]) == "w" * (last_swing + 56)
    assert states[last_swing + 60].phase == Phase.RESOLVED
    assert not states[last_swing + 60].is_flapping
    assert sum(before.sequence != after.sequence for before, after in itertools.pairwise(states[5:])) == 1


def test_what_flapped_and_is_steadily_bad_does_not_flap_any_more() -> None:
    """The mark goes when the value has stayed on one side for the time, and resolving is quick again."""
    states = run([*[11, 9] * 4, *[11] * 61, 9], conditions())
    assert states[10].is_flapping
    assert not states[-2].is_flapping
    assert states[-1].phase == Phase.RESOLVED


def test_a_flapping_alert_that_becomes_critical_says_so_at_once() -> None:
    """Holding is for what becomes better, never for what becomes worse."""
    states = run([*[11, 9] * 4, 21], conditions())
    assert states[-2].is_flapping
    assert states[-1].severity == Severity.CRITICAL


@pytest.mark.parametrize("gap_s", [100, 100_000])
def test_a_time_that_nobody_looked_counts_towards_nothing(gap_s: float) -> None:
    """Neither `for`, nor `keep_firing_for`, nor silence is over because the evaluator slept."""
    pending, *_ = run([11], conditions(for_s=10))
    awake = unwatched(pending, gap_s)
    assert step(awake, observed(11), START_S + gap_s + 9, conditions(for_s=10))[0].phase == Phase.PENDING
    assert step(awake, observed(11), START_S + gap_s + 10, conditions(for_s=10))[0].phase == Phase.FIRING
    easing = run([11, 9], conditions(keep_firing_for_s=10))[-1]
    awake = unwatched(easing, gap_s)
    assert step(awake, observed(9), START_S + 5 + gap_s + 9, conditions(keep_firing_for_s=10))[0].phase == Phase.FIRING
    silent = run([11, None], conditions())[-1]
    assert step(unwatched(silent, gap_s), NOTHING, START_S + 5 + gap_s + 19, conditions())[0].phase == Phase.FIRING


def test_a_clock_that_is_put_back_changes_no_duration() -> None:
    """What had lasted for eight seconds has lasted for eight seconds still."""
    rule = conditions(for_s=10)
    pending = run([11, 11, 11], rule, interval_s=4)[-1]
    moved = put_back(pending, 3_600)
    assert step(moved, observed(11), START_S - 3_600 + 9.9, rule)[0].phase == Phase.PENDING
    assert step(moved, observed(11), START_S - 3_600 + 10, rule)[0].phase == Phase.FIRING

"""When a service counts as in trouble, and when a few bad calls do not."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from query import ProblemKind, QuerySettings, RedTotal, Status
from query.health import duration_text, problems_of, status_of, wilson_lower_bound

SETTINGS = QuerySettings()


def recent(calls: int, errors: int = 0, p95_s: float = 0.1) -> RedTotal:
    rate = errors / calls if calls else 0.0
    return RedTotal(calls, errors, 0, rate, calls / 60, p95_s / 2, p95_s, p95_s)


@pytest.mark.parametrize(
    ("total", "status"),
    [
        (recent(0), Status.NO_DATA),
        (recent(3, errors=2), Status.HEALTHY),
        (recent(3, errors=3), Status.CRITICAL),
        (recent(14, errors=3), Status.CRITICAL),
        (recent(19, errors=19, p95_s=9.0), Status.CRITICAL),
        (recent(19, errors=2, p95_s=9.0), Status.HEALTHY),
        (recent(20, errors=2), Status.HEALTHY),
        (recent(60, errors=3), Status.DEGRADED),
        (recent(20, errors=3), Status.CRITICAL),
        (recent(1_000, errors=10), Status.HEALTHY),
        (recent(1_000, errors=20), Status.DEGRADED),
        (recent(1_000, errors=70), Status.CRITICAL),
        (recent(100, p95_s=0.5), Status.HEALTHY),
        (recent(100, p95_s=0.51), Status.DEGRADED),
        (recent(100, p95_s=1.0), Status.DEGRADED),
        (recent(100, p95_s=1.01), Status.CRITICAL),
        (recent(1_000, errors=20, p95_s=3.0), Status.CRITICAL),
    ],
)
def test_status_follows_the_thresholds_once_there_are_enough_calls(total: RedTotal, status: Status) -> None:
    """One or two bad calls are no alarm; a model that is seldom called and always fails is one."""
    assert status_of(total, problems_of(total, SETTINGS)) == status


def test_the_worst_problem_comes_first() -> None:
    """A critical latency stands before a degraded error rate, and the other way round."""
    latency_first = problems_of(recent(1_000, errors=20, p95_s=3.0), SETTINGS)
    errors_first = problems_of(recent(1_000, errors=200, p95_s=0.7), SETTINGS)
    assert [problem.kind for problem in latency_first] == [ProblemKind.HIGH_LATENCY, ProblemKind.HIGH_ERROR_RATE]
    assert [problem.kind for problem in errors_first] == [ProblemKind.HIGH_ERROR_RATE, ProblemKind.HIGH_LATENCY]


def test_evidence_names_the_window_that_was_set() -> None:
    """A window other than a minute is named in seconds."""
    (problem,) = problems_of(recent(100, p95_s=0.7123), QuerySettings(health_window_s=30))
    assert problem.evidence == "P95 712 ms over the last 30 s, above 500 ms"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.00123, "1.23 ms"),
        (0.9996, "1 s"),
        (1.92, "1.92 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min"),
        (99.6, "1 min 40 s"),
        (600.0, "10 min"),
        (1_234.5, "20 min 34 s"),
        (7_500.0, "2 h 5 min"),
        (7_230.0, "2 h"),
        (273_600.0, "3 d 4 h"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    """Three significant digits below a minute, two units from there on; never in powers of ten."""
    assert duration_text(seconds) == text


def test_the_wilson_bound_agrees_with_published_values() -> None:
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    assert wilson_lower_bound(81, 263) == pytest.approx(0.2553, abs=5e-5)
    assert wilson_lower_bound(15, 148) == pytest.approx(0.0624, abs=5e-5)
    assert wilson_lower_bound(0, 20) == 0
    assert wilson_lower_bound(1, 29) == pytest.approx(0.0061, abs=5e-5)
    assert wilson_lower_bound(0, 0) == 0


@given(st.integers(1, 10**9), st.floats(0, 1), st.floats(0.1, 6))
@example(20, 0.0, 1.96)
@example(20, 1.0, 1.96)
def test_the_wilson_bound_is_nothing_without_a_hit_and_never_above_the_share(
    trials: int, share: float, z: float
) -> None:
    """Exactly 0 for no error among however many, so that nothing fires at a threshold of 0; else between 0 and all."""
    hits = min(round(share * trials), trials)
    assert wilson_lower_bound(0, trials, z) == 0
    assert 0 <= wilson_lower_bound(hits, trials, z) <= hits / trials
    assert hits == 0 or wilson_lower_bound(hits, trials, z) > 0


def test_thresholds_that_do_not_rise_are_refused() -> None:
    """A critical threshold below the degraded one is a mistake."""
    with pytest.raises(ValidationError, match="p95_critical_s must not be below"):
        QuerySettings(p95_critical_s=0.1)
    with pytest.raises(ValidationError, match="error_rate_critical must not be below"):
        QuerySettings(error_rate_critical=0.001)

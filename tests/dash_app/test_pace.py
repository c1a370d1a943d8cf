"""How fast one connection may ask."""

from __future__ import annotations

import pytest

from dash_app.push.pace import Pace


def test_a_second_of_questions_may_come_at_once_and_the_others_wait_their_turn() -> None:
    """Each one more waits for its turn; with time there are as many at once again, and never more."""
    now_s = 100.0
    pace = Pace(2.0, lambda: now_s)
    assert [pace.take() for _ in range(5)] == [0.0, 0.0, 0.5, 1.0, 1.5]
    now_s += 2.0
    assert [pace.take() for _ in range(2)] == [0.0, 0.5]
    now_s += 3_600
    assert [pace.take() for _ in range(3)] == [0.0, 0.0, 0.5]


def test_less_than_one_a_second_lets_the_first_through() -> None:
    """A page that is opened is answered at once whatever the limit is."""
    pace = Pace(0.1, lambda: 5.0)
    assert pace.take() == 0.0
    assert pace.take() == pytest.approx(10.0)

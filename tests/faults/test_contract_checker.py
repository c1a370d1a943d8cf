"""The oracle itself: it is content with an honest account, and finds each way in which one can be wrong."""

from __future__ import annotations

import pytest

from tests.support.contract_checker import Attempt, Fate, Journal, Stored, check_counted, check_stored

WHOLE = Stored(3, 1)
FIGURES = {
    ("receiver_accepted_items", "grpc"): 6,
    ("receiver_refused_items", "grpc"): 3,
    ("receiver_refused_requests", "grpc"): 1,
    ("receiver_rejected_requests", "http"): 1,
}


@pytest.fixture
def journal() -> Journal:
    """Two acknowledged requests, one of them after a refusal; one refused, one rejected, one without an answer."""
    journal = Journal("test", 3)
    for request, transport, fate in (
        (0, "grpc", Fate.ACKNOWLEDGED),
        (1, "grpc", Fate.REFUSED),
        (1, "grpc", Fate.ACKNOWLEDGED),
        (2, "grpc", Fate.REFUSED),
        (3, "http", Fate.REJECTED),
        (4, "http", Fate.UNANSWERED),
    ):
        journal.note(Attempt(request, transport, fate, "", float(request), 0.0))
    return journal


@pytest.mark.parametrize("uncertain", [{}, {2: WHOLE}, {4: WHOLE}, {2: WHOLE, 4: WHOLE}])
def test_an_honest_account_is_fine(journal: Journal, uncertain: dict[int, Stored]) -> None:
    """What was refused or not answered may be stored or not."""
    check_stored(journal, {0: WHOLE, 1: WHOLE, **uncertain})


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [
        ({0: WHOLE}, r"acknowledged and not stored: \[1\]"),
        ({0: WHOLE, 1: Stored(6, 2)}, "not counted exactly once"),
        ({0: WHOLE, 1: Stored(2, 1)}, "not counted exactly once"),
        ({0: WHOLE, 1: Stored(3, 0)}, "not counted exactly once"),
        ({0: WHOLE, 1: WHOLE, 2: Stored(6, 2)}, "not counted exactly once"),
        ({0: WHOLE, 1: WHOLE, 3: WHOLE}, r"rejected for good and stored: \[3\]"),
        ({0: WHOLE, 1: WHOLE, 9: WHOLE}, r"stored and never sent: \[9\]"),
    ],
)
def test_a_wrong_store_is_found(journal: Journal, stored: dict[int, Stored], complaint: str) -> None:
    """A lost, doubled, torn, unwanted or foreign request is named."""
    with pytest.raises(AssertionError, match=complaint):
        check_stored(journal, stored)


def test_what_somebody_deleted_is_not_held_against_us(journal: Journal) -> None:
    """An excused request may be missing; another may not."""
    check_stored(journal, {0: WHOLE}, excused={1})
    with pytest.raises(AssertionError, match="acknowledged and not stored"):
        check_stored(journal, {1: WHOLE}, excused={1})


@pytest.mark.parametrize("of_the_unanswered", ["accepted", "refused", None])
def test_honest_counters_are_fine(journal: Journal, of_the_unanswered: str | None) -> None:
    """An attempt without an answer may have been counted as anything, or not at all."""
    extra = {} if of_the_unanswered is None else {(f"receiver_{of_the_unanswered}_items", "http"): 3}
    check_counted(journal, FIGURES | extra)


@pytest.mark.parametrize(
    ("name", "transport", "value"),
    [
        ("receiver_accepted_items", "grpc", 3),
        ("receiver_accepted_items", "grpc", 9),
        ("receiver_accepted_items", "grpc", 7),
        ("receiver_refused_items", "grpc", 0),
        ("receiver_refused_requests", "grpc", 2),
        ("receiver_rejected_requests", "http", 0),
        ("receiver_accepted_items", "http", 6),
        ("receiver_rejected_items", "grpc", 3),
    ],
)
def test_a_wrong_counter_is_found(journal: Journal, name: str, transport: str, value: int) -> None:
    """Too little, too much, a part of a request and the wrong outcome are all found."""
    with pytest.raises(AssertionError, match=f"{transport}: "):
        check_counted(journal, FIGURES | {(name, transport): value})


def test_an_attempt_without_an_answer_is_counted_once_at_most(journal: Journal) -> None:
    """It cannot have been accepted and refused."""
    both = {("receiver_accepted_items", "http"): 3, ("receiver_refused_items", "http"): 3}
    with pytest.raises(AssertionError, match="http: counted 3"):
        check_counted(journal, FIGURES | both)

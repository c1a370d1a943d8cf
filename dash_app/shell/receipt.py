"""What the server tells the page about an answer, so that the page can say how it is doing between answers.

Pure; made by `callbacks.py`, read by `assets/pulse.js`, which knows the rest: whether the server still answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, TypedDict

from dash_app.shell.page import Answer
from dash_app.shell.view import View

STALE_AFTER_S: Final = 30.0


class Receipt(TypedDict):
    """`ask` is the number of the question. Times are Unix seconds by the server's clock, `pace_s` the time to the next
    question. `is_past` tells that the view does not move with the clock. `message` is for people: why a view is empty,
    or what went wrong. Without a call for `stale_after_s`, data counts as old."""

    ask: int
    state: Literal["filled", "empty", "failed"]
    message: str
    now_s: float
    end_s: int | None
    newest_s: int | None
    pace_s: float
    is_past: bool
    stale_after_s: float


def receipt_of(
    ask: int, answer: Answer, view: View, now_s: float, refresh_interval_s: float, stale_after_s: float = STALE_AFTER_S
) -> Receipt:
    """Return the receipt of an answer."""
    is_over = view.range.is_over(now_s)
    range_pace_s = view.range.pace_s if is_over else replace(view.range, end_s=None).pace_s
    return Receipt(
        ask=ask,
        state="filled" if answer.why_empty is None else "empty",
        message=answer.why_empty or "",
        now_s=now_s,
        end_s=answer.end_s,
        newest_s=answer.newest_s,
        pace_s=max((answer.pace_s or range_pace_s) * refresh_interval_s, refresh_interval_s),
        is_past=is_over and not answer.is_of_now,
        stale_after_s=stale_after_s,
    )


def receipt_of_failure(ask: int, message: str, now_s: float, pace_s: float) -> Receipt:
    """Return the receipt of a question that could not be answered."""
    return Receipt(
        ask=ask,
        state="failed",
        message=message,
        now_s=now_s,
        end_s=None,
        newest_s=None,
        pace_s=pace_s,
        is_past=False,
        stale_after_s=STALE_AFTER_S,
    )

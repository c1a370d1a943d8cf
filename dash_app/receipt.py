"""What the server tells the page about an answer, so that the page can say how it is doing between answers.

Pure; made by `callbacks.py`, read by `assets/pulse.js`, which knows the rest: whether the server still answers.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from dash_app.snapshot import Snapshot


class Receipt(TypedDict):
    """`ask` is the number of the question. Times are Unix seconds by the server's clock, `pace_s` the time to the next
    question. `message` is for people: why a view is empty, or what went wrong."""

    ask: int
    state: Literal["filled", "empty", "failed"]
    message: str
    now_s: float
    end_s: int | None
    newest_s: int | None
    pace_s: float


def receipt_of(ask: int, snapshot: Snapshot, now_s: float, refresh_interval_s: float) -> Receipt:
    """Return the receipt of an answer."""
    return Receipt(
        ask=ask,
        state="empty" if snapshot.is_empty else "filled",
        message=_why_empty(snapshot) if snapshot.is_empty else "",
        now_s=now_s,
        end_s=snapshot.end_s,
        newest_s=snapshot.newest_s,
        pace_s=max(snapshot.view.range.pace_s * refresh_interval_s, refresh_interval_s),
    )


def receipt_of_failure(ask: int, message: str, now_s: float, pace_s: float) -> Receipt:
    """Return the receipt of a question that could not be answered."""
    return Receipt(ask=ask, state="failed", message=message, now_s=now_s, end_s=None, newest_s=None, pace_s=pace_s)


def _why_empty(snapshot: Snapshot) -> str:
    """Nothing to say when nothing was ever seen: then the page explains how to send data."""
    if snapshot.newest_s is None:
        return ""
    place = f" in the environment {snapshot.view.environment}" if snapshot.view.environment is not None else ""
    return f"No calls{place} in the last {snapshot.view.range.words}. Choose a longer range."

"""What may be asked: the bounds of a question, checked before anything is read.

Used by `query/component.py`; the API turns `QuestionError` into a status that names the parameter.
"""

from __future__ import annotations

from collections.abc import Sequence

from query.answers import GroupBy
from query.grouping import FIELD_OF
from query.settings import QuerySettings
from telemetry import PermanentError


class QuestionError(PermanentError):
    """A question that cannot be answered as asked: `parameter` is at fault, the message says what is allowed."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


def check_window(window_s: int, settings: QuerySettings) -> None:
    """Raise `QuestionError` unless `window_s` may be asked about."""
    if not 1 <= window_s <= settings.max_range_s:
        raise QuestionError("window_s", f"the window must be 1 to {settings.max_range_s} s long, not {window_s} s")


def check_range(start_s: int, end_s: int, settings: QuerySettings) -> None:
    """Raise `QuestionError` unless [start_s, end_s) may be asked about."""
    if start_s < 0:
        raise QuestionError("start_s", "the start must not be before 1970")
    if end_s <= start_s:
        raise QuestionError("end_s", "the end must be after the start")
    if end_s - start_s > settings.max_range_s:
        allowed = f"at most {settings.max_range_s} s are allowed: move the start nearer to the end"
        raise QuestionError("start_s", f"the range of {end_s - start_s} s is too long, {allowed}")


def check_step(start_s: int, end_s: int, step_s: int, settings: QuerySettings) -> None:
    """Raise `QuestionError` unless [start_s, end_s) may be cut into steps of `step_s`."""
    if step_s < 1:
        raise QuestionError("step_s", "the step must be at least 1 s")
    count = -(-(end_s - start_s) // step_s)
    if count > settings.max_steps:
        least_s = -(-(end_s - start_s) // settings.max_steps)
        allowed = f"at most {settings.max_steps} are allowed: ask for a step of {least_s} s or more"
        raise QuestionError("step_s", f"a step of {step_s} s gives {count} steps, {allowed}")


def check_group_by(group_by: Sequence[GroupBy]) -> None:
    """Raise `QuestionError` unless the groups are named by known, distinct fields."""
    unknown = [field for field in group_by if field not in FIELD_OF]
    if unknown:
        raise QuestionError("group_by", f"unknown field {unknown[0]!r}: use any of {', '.join(FIELD_OF)}")
    if len(set(group_by)) < len(group_by):
        raise QuestionError("group_by", "each field may be named once")


def check_point_count(count: int, settings: QuerySettings) -> None:
    """Raise `QuestionError` when an answer would be made from too many points."""
    if count > settings.max_points:
        allowed = "shorten the range or filter by service"
        raise QuestionError("start_s", f"the range holds more than {settings.max_points} stored points: {allowed}")

"""What the evaluator says of its last round, in the row of its lease: who looks at alerts sees how fresh they are.

Written with every round, read by the API and by the process that takes over.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError


class Report(BaseModel):
    """The last round. Times are Unix seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at_s: float = 0.0
    """When it was; 0 if there was none yet."""
    round_s: float = 0.0
    rules: int = 0
    groups: int = 0
    """Groups that were found by the rules evaluated in it."""
    left_out: int = 0
    """Groups that are bad and could not become alerts, as too many are open."""
    frozen_reason: str = ""
    """Why states are left as they are; empty while they are not."""
    frozen_since_s: float = 0.0
    failures: Mapping[str, str] = {}
    """By rule, why it cannot be evaluated."""


def report_of(document: str) -> Report:
    """Read a report; one that cannot be read says nothing."""
    try:
        return Report.model_validate_json(document)
    except ValidationError:
        return Report()

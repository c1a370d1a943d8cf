"""Which log records are invalid by themselves: none; without valid ids one is only uncorrelated (`logs.proto`).

Applied by the inspection of log requests, for which this is just the counting.
"""

from __future__ import annotations

from typing import Any, Final

from otlp_receiver.rules import Sifted
from otlp_receiver.schemas import BYTES, Description, described

_COUNTED: Final[Description] = {
    "Request": ((1, "resources", "ResourceLogs", "one"),),
    "ResourceLogs": ((2, "scopes", "ScopeLogs", "one"),),
    "ScopeLogs": ((2, "log_records", BYTES, "many"),),
}


class LogRules:
    """`Rules` of logs."""

    def __init__(self) -> None:
        self.sifted_class = described(_COUNTED)

    def count_valid(self, body: bytes) -> int:
        return len(self.sifted_class.FromString(body).resources.scopes.log_records)

    def sift(self, request: Any) -> Sifted:
        return Sifted(len(request.resources.scopes.log_records))

"""What a doctor finds, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

_MARKS: Final = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: how it is, and what to do if it is not well."""

    state: Literal["ok", "note", "problem"]
    subject: str
    text: str


def print_findings(findings: Iterable[Finding]) -> int:
    """Print each as it is found, and a sum; return 1 if there is a problem, else 0."""
    problems = 0
    for finding in findings:
        problems += finding.state == "problem"
        print(f"{_MARKS[finding.state]}  {finding.subject}: {finding.text}", flush=True)
    print(f"\n{problems} problem{'' if problems == 1 else 's'}" if problems else "\nAll is well", flush=True)
    return 1 if problems else 0

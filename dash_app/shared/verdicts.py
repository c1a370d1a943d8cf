"""What verdicts on resources are called on the pages.

Pure, from verdicts to words and to the fields of a table's row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dash_app.shared.names import visible
from query import Verdict, VerdictKind

VERDICT_NAMES: Final = {
    VerdictKind.CPU_BOUND: "CPU-bound",
    VerdictKind.THROTTLED: "Throttled",
    VerdictKind.MEMORY_NEAR_LIMIT: "Memory full",
    VerdictKind.MEMORY_LEAKING: "Leaking",
    VerdictKind.IDLE_CAPACITY: "Idle",
    VerdictKind.UNREMARKABLE: "OK",
    VerdictKind.NOT_ENOUGH_DATA: "No data",
}


def verdict_cell(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the fields of a row that tell the worst verdict; the others are in the tooltip."""
    if not verdicts:
        return {"resources": "", "resources_text": "\N{EN DASH}", "resources_tone": "no_data", "resources_evidence": ""}
    worst = verdicts[0]
    return {
        "resources": worst.kind.value,
        "resources_text": VERDICT_NAMES[worst.kind],
        "resources_tone": worst.status.value,
        "resources_evidence": " \N{MIDDLE DOT} ".join(visible(verdict.evidence) for verdict in verdicts),
    }

"""RED as the cells of a table's row: numbers for sorting, with their text beside them, and sparklines.

Pure; used by every table of RED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash_app.shared import formatting
from dash_app.shared.charts import step_seconds
from query import RedAnswer, RedStep, RedTotal

Row = dict[str, Any]


def red_cells(total: RedTotal, steps: Sequence[RedStep], answer: RedAnswer) -> Row:
    """Return the cells; `steps` are those of one series of `answer`, or none."""
    return {
        "rate": total.rate_per_s,
        "rate_text": formatting.rate(total.rate_per_s).number,
        "p50": total.p50_s,
        "p50_text": formatting.duration(total.p50_s).text,
        "p95": total.p95_s,
        "p95_text": formatting.duration(total.p95_s).text,
        "p99": total.p99_s,
        "p99_text": formatting.duration(total.p99_s).text,
        "apdex": total.apdex,
        "apdex_text": formatting.apdex(total.apdex).text,
        "errors": total.error_rate if total.calls else None,
        "errors_text": formatting.percent(total.error_rate if total.calls else None).number,
        "traffic": [round(step.calls / step_seconds(answer, step.time_s), 3) for step in steps],
        "latency": [None if step.p95_s is None else round(step.p95_s, 5) for step in steps],
        "failures": [round(step.errors / step.calls, 5) if step.calls else None for step in steps],
    }

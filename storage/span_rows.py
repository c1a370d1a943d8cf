"""Kept spans as the rows that a commit writes: texts that every store accepts, sorted, without repeats.

Used by the history within a commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from storage.sanitising import clean_text
from storage.table_writing import Rows
from telemetry import KeptSpan

_KEY: Final = 4


def span_rows_of(spans: Sequence[KeptSpan], max_chars: int) -> Rows:
    """Return a row for each span, sorted by key; of two with the same key the first."""
    rows = {span[:_KEY]: _cleaned(span, max_chars) for span in reversed(spans)}
    return [rows[key] for key in sorted(rows)]


def _cleaned(span: KeptSpan, max_chars: int) -> KeptSpan:
    fields: list[Any] = [clean_text(field, max_chars) if isinstance(field, str) else field for field in span]
    return KeptSpan(*fields)

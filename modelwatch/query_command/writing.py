"""Writes rows and documents for people, for scripts and for spreadsheets; no name can do anything to a terminal.

CSV that goes into a file has every name as it is; on a terminal it is escaped as the other forms are.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from modelwatch.query_command.rows import Cell, Row

_WIDEST: Final = 60
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_FORMULA: Final = re.compile(r"^[=+\-@\t\r]")
_WIDE: Final = frozenset({"W", "F"})


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return the rows under each other, numbers to the right with four digits, long texts cut with an ellipsis."""
    heads = [escaped(name) for name in columns]
    cells = [[_short(_text(row.get(name))) for name in columns] for row in rows]
    numeric = [any(_is_number(row.get(name)) for row in rows) for name in columns]
    widths = [
        max([_width(head), *(_width(line[place]) for line in cells)], default=0) for place, head in enumerate(heads)
    ]
    lines = [heads, *cells]
    return "".join(
        "  ".join(
            _padded(cell, width, to_the_right=is_number)
            for cell, width, is_number in zip(line, widths, numeric, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def comma_separated(rows: Sequence[Row], columns: Sequence[str], *, is_for_terminal: bool = False) -> str:
    """Return the rows as RFC 4180, numbers as they were answered, nothing cut.

    A text that a spreadsheet would run as a formula is given an apostrophe in front, as the pages do.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    for line in (columns, *([row.get(name) for name in columns] for row in rows)):
        cells = [_csv_cell(cell) for cell in line]
        writer.writerow(
            [escaped(cell) if isinstance(cell, str) else cell for cell in cells] if is_for_terminal else cells
        )
    return out.getvalue()


def as_json(document: Any) -> str:
    """Return the document as it was answered, what a terminal would obey escaped, which is the same JSON."""
    return escaped(json.dumps(document, ensure_ascii=False, indent=2), kept="\n") + "\n"


def escaped(text: str, kept: str = "") -> str:
    """Return the text with every character that is not for the eye as `\\uXXXX`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(one) if unicodedata.category(one) in _UNSAFE and one not in kept else one for one in text)


def _escape(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        # Digits before the point are all of them, however many; "1e+06" is no count of bytes.
        return f"{cell:.0f}" if abs(cell) >= 1_000 else f"{cell:.4g}"
    return escaped(str(cell))


def _csv_cell(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _short(text: str) -> str:
    if _width(text) <= _WIDEST:
        return text
    kept = text[: _WIDEST - 1]
    while _width(kept) >= _WIDEST:
        kept = kept[:-1]
    return f"{kept}…"


def _width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in _WIDE) for one in text)


def _padded(text: str, width: int, *, to_the_right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if to_the_right else text + space

"""What a server sent, as tables for a terminal. Pure: values in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from modelwatch.doctor.observation import Observation, SeenSpan
from telemetry import conventions as names

MAX_ROWS: Final = 24
MAX_CELL: Final = 48
_SHOWN: Final = ("service.", "deployment.", "ml.", "telemetry.distro.", "host.name", "process.pid", "container.id")


def report(seen: Observation) -> str:
    """Return the resource, the spans by kind and name, and the counts."""
    sent = sum(1 for one in seen.requests if one.status)
    servers = len(seen.server_spans)
    pids = len({span.resource.get("process.pid") for span in seen.spans})
    lines = [
        f"{sent} of {len(seen.requests)} requests answered; {servers} SERVER spans and "
        f"{len(seen.spans) - servers} others received from {pids} process{'' if pids == 1 else 'es'}"
    ]
    resource = [(key, str(value)) for key, value in sorted(seen.resource.items()) if key.startswith(_SHOWN)]
    if resource:
        lines += ["", "Resource", *_table(resource)]
    if seen.spans:
        counted = Counter(map(_row, seen.spans)).most_common(MAX_ROWS)
        rows = [(str(count), *row) for row, count in counted]
        lines += ["", "Spans", *_table([("count", "kind", "name", "route", "status", "model", "scope"), *rows])]
    return "\n".join(lines)


def _row(span: SeenSpan) -> tuple[str, ...]:
    read = span.attributes.get
    status = read(names.HTTP_RESPONSE_STATUS_CODE, read(names.HTTP_STATUS_CODE_OLD, ""))
    model = read(names.MODEL_NAME, read(names.GEN_AI_MODEL, ""))
    return span.kind, span.name, str(read(names.HTTP_ROUTE, "")), str(status), str(model), span.scope


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    cut = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    for row in cut:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _printable(text: str) -> str:
    """Return text that cannot move a terminal's cursor, and is no wider than a cell."""
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain if len(plain) <= MAX_CELL else plain[: MAX_CELL - 1] + "…"

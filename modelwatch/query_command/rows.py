"""From a document of the API to flat rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

Cell = str | int | float | bool | None
Row = dict[str, Cell]

POINTS: Final = "points"
_PLAIN: Final = frozenset({"labels", "rule", "total"})
"""Objects whose fields stand on their own in a row: they are named unmistakably."""


def item_rows(items: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return a row for each item: objects as `outer.inner`, lists in one cell, points left out."""
    return [dict(_flat(item)) for item in items]


def point_rows(items: Iterable[Mapping[str, Any]], identity: Sequence[str]) -> list[Row]:
    """Return a row for each point of each item, after what says whose it is."""
    rows: list[Row] = []
    for item in items:
        whose = dict(_flat({name: item[name] for name in identity if name in item}))
        rows.extend({**whose, **dict(_flat(point))} for point in item.get(POINTS, ()))
    return rows


def columns_of(rows: Iterable[Row], wanted: Sequence[str] | None = None, labels: Sequence[str] = ()) -> list[str]:
    """Return the names of the columns of these rows; of the `wanted` ones, those that there are, in their order.

    The `wanted` name `labels` stands for these labels.
    """
    there = list(dict.fromkeys(name for row in rows for name in row))
    if wanted is None:
        return there
    chosen = [name for one in wanted for name in (labels if one == "labels" else [one])]
    return [name for name in dict.fromkeys(chosen) if name in there] or there


def labels_in(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the labels that these items have."""
    return list(dict.fromkeys(name for item in items for name in item.get("labels") or ()))


def _flat(item: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Cell]]:
    for name, value in item.items():
        if name == POINTS and isinstance(value, list):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, prefix if name in _PLAIN else f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", "; ".join(_words(one) for one in value)
        else:
            yield f"{prefix}{name}", value


def _words(one: Any) -> str:
    if isinstance(one, Mapping):
        return str(one.get("kind") or one.get("name") or "; ".join(f"{name}={value}" for name, value in one.items()))
    return str(one)

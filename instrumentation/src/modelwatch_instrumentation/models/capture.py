"""What of a model's input and output may be kept: named fields of a single row, bounded, and redacted by name.

Pure. It sees data of any kind and never copies, converts or prints more of it than the fields that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelwatch_instrumentation.models import schema
from modelwatch_instrumentation.models.settings import folded

MAX_FIELDS: Final = 32
MAX_CHARS: Final = 256
REDACTED: Final = "[redacted]"

Scalar = str | bool | int | float
_INT64: Final = 2**63


def scalar_of(value: Any) -> Scalar | None:
    """Return a value as an attribute can hold it, text cut to `MAX_CHARS`; None for what is no single value."""
    try:
        return _scalar(value)
    except Exception:  # an object of the application's, whose attributes may do anything
        return None


def label_of(value: Any) -> str:
    """Return the text of a name or a version; of what has none, its class."""
    kept = scalar_of(value)
    return type(value).__name__ if kept is None else str(kept)


def _scalar(value: Any) -> Scalar | None:
    if getattr(value, "size", None) == 1 and hasattr(value, "item"):
        value = value.item()  # numpy's scalars, and arrays of one element
    if isinstance(value, bytes):
        value = value[:MAX_CHARS].decode(errors="replace")
    if isinstance(value, str):
        return value[:MAX_CHARS].encode(errors="replace").decode()  # a lone surrogate would fail the whole export
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -_INT64 <= value < _INT64 else str(value)[:MAX_CHARS]
    return value if isinstance(value, (bool, float)) else None


def input_attributes(fields: Mapping[str, Any], redacted: Iterable[str]) -> dict[str, Scalar]:
    """Return the attributes for at most `MAX_FIELDS` fields; what is no single value is left out."""
    attributes: dict[str, Scalar] = {}
    for name, value in list(fields.items())[:MAX_FIELDS]:
        kept = REDACTED if is_redacted(str(name), redacted) else scalar_of(value)
        if kept is not None:
            attributes[schema.INPUT_PREFIX + str(name)[:MAX_CHARS]] = kept
    return attributes


def is_redacted(name: str, redacted: Iterable[str]) -> bool:
    """Tell whether a field's name holds one of the redacted names, whatever the case and the separators."""
    plain = folded(name)
    return any(word in plain for word in redacted)


def first_row(data: Any, wanted: Sequence[str], feature_names: Sequence[str] | None) -> dict[str, Any]:
    """Return the wanted fields of the first row of a data frame, a mapping of arrays, or rows of known columns."""
    if isinstance(data, Mapping):
        return {name: data[name] for name in wanted if name in data}
    columns = getattr(data, "columns", None)
    if columns is not None:
        present = set(columns)
        return {name: _first(data[name]) for name in wanted if name in present}
    if feature_names is None:
        return {}
    place = {str(name): index for index, name in enumerate(feature_names)}
    return {name: data[0][place[name]] for name in wanted if name in place}


def output_attributes(value: Any, probability: Any = None, *, is_class: bool | None = None) -> dict[str, Scalar]:
    """Return the attributes of one output: a class (always as text) with its probability, or a value.

    Without `is_class`, fractions are values and all else is a class.
    """
    kept = scalar_of(value)
    if kept is None:
        return {}
    attributes: dict[str, Scalar] = {}
    if is_class or (is_class is None and not isinstance(kept, float)):
        attributes[schema.OUTPUT_CLASS] = str(kept)[:MAX_CHARS]
    elif not isinstance(kept, str):
        attributes[schema.OUTPUT_VALUE] = float(kept)
    likelihood = scalar_of(probability)
    if isinstance(likelihood, (int, float)):
        attributes[schema.OUTPUT_PROBABILITY] = float(likelihood)
    return attributes


def row_count(data: Any) -> int | None:
    """Return the number of rows of an array, a sparse matrix, a data frame, a DMatrix or a list; None if unknown."""
    num_row = getattr(data, "num_row", None)
    if callable(num_row):
        return int(num_row())
    shape = getattr(data, "shape", None)
    if isinstance(shape, Sequence):
        return int(shape[0]) if len(shape) > 0 and isinstance(shape[0], int) else None
    return len(data) if isinstance(data, (list, tuple)) else None


def _first(column: Any) -> Any:
    return column.iloc[0] if hasattr(column, "iloc") else column[0]

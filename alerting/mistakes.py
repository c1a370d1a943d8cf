"""What a validator found wrong, in words for people who fill in a form.

Pure; used where rules and channels are given on the pages. What is amiss is said without the value: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_BY_FIELD: Final = {
    "name": "small letters, digits, . - _, at most 63; the first is a letter or a digit",
    "rule_id": "small letters, digits, . - _, at most 100; the first is a letter or a digit",
    "runbook_url": "an address that begins with http:// or https://, without blanks",
}
"""What those allow that have a pattern."""
_BY_KIND: Final = {
    "missing": "is required",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
}


def words_of(error: Mapping[str, Any]) -> str:
    """Return what is amiss, of one of the errors that pydantic lists with their context."""
    kind, field, context = error["type"], next(reversed(error["loc"]), ""), error.get("ctx", {})
    if kind == "string_pattern_mismatch" and field in _BY_FIELD:
        return _BY_FIELD[field]
    if kind == "too_short" and context["min_length"] == 1:
        return "choose at least one"
    if kind == "too_long":
        # A text that is a secret counts as a list of its letters.
        return f"must be at most {context['max_length']}{' characters' * (context['field_type'] == 'Value')}"
    if kind in _BY_KIND:
        return _BY_KIND[kind].format(**context)
    return str(error["msg"]).removeprefix("Value error, ")

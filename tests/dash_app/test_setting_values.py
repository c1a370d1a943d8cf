"""Values of settings, as they are shown and as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dash_app.configuration.actions import _sentence
from dash_app.configuration.values import text_of, value_of
from tuning.tunable import BadValueError

KINDS = {bool: "boolean", int: "integer", float: "number", dict: "object", str: "string"}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("retention_s", 172_800, "2d"),
        ("retention_s", 90_061, "90061s"),
        ("target_s", 0.25, "250ms"),
        ("target_s", 0.0015, "0.0015s"),
        ("target_s", 0, "0s"),
        ("interval_s", 5_400.0, "90min"),
        ("max_bytes", 2 * 2**30, "2GiB"),
        ("max_bytes", 1_000, "1000B"),
        ("max_spans_per_s", 100.0, "100.0"),
        ("is_enabled", True, "on"),
        ("targets_s", {"ü": 8}, '{"ü": 8}'),
        ("level", "info", "info"),
    ],
)
def test_a_value_is_shown_with_its_unit(name: str, value: Any, text: str) -> None:
    """In the largest that it is a whole number of, and is read back as it was."""
    assert text_of(name, value) == text
    assert value_of(name, KINDS[type(value)], text) == value


@given(st.sampled_from(["a_s", "a_bytes", "a_per_s", "a"]), st.integers(0, 10**12) | st.floats(0, 1e15))
def test_every_number_is_read_back(name: str, value: float) -> None:
    """Exactly: nothing is rounded on the way to the screen and back."""
    assert value_of(name, KINDS[type(value)], text_of(name, value)) == value


@pytest.mark.parametrize("text", ["90m", "1.5h", "1.5 H", "5400", "5400s", "90min", "5400000ms"])
def test_a_time_may_be_written_in_any_unit(text: str) -> None:
    """With a space or without, in small letters or large ones."""
    assert value_of("a_s", "integer", text) == 5_400


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        *(("a_s", "integer", text) for text in ("", "5x", "fast", "1 2s", "--5s", "5GiB", "1e999x", "\0")),
        ("a_bytes", "integer", "5min"),
        ("a_per_s", "number", "5s"),
        ("is_a", "boolean", "yes"),
        ("targets_s", "object", "{"),
    ],
)
def test_what_is_no_value_is_refused(name: str, kind: str, text: str) -> None:
    """In words that say how to write one."""
    with pytest.raises(BadValueError, match=name):
        value_of(name, kind, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query.apdex_targets_s: must be above 0", "query.apdex_targets_s: must be above 0."),
        ("p95_critical_s must not be below p95_degraded_s", "p95_critical_s must not be below p95_degraded_s."),
        ("only editors may do this.", "Only editors may do this."),
    ],
)
def test_names_of_settings_are_said_as_they_are(text: str, said: str) -> None:
    """A sentence begins with a capital letter, unless with a name that would not exist then."""
    assert _sentence(text) == said

"""docs/otlp.md and the tests that it names belong together."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
DOCUMENT = TESTS.parent / "docs" / "otlp.md"


def test_every_requirement_is_listed_with_its_tests() -> None:
    """The list counts from 1 to 68, and each row names all tests that bear its number."""
    rows = dict(re.findall(r"^\| (\d+) \|(.*)$", DOCUMENT.read_text(), re.MULTILINE))
    assert list(rows) == [str(number) for number in range(1, 69)]
    for number, row in rows.items():
        numbered = {name for name in _defined() if name.startswith(f"test_r{int(number):02}_")}
        assert numbered, f"requirement {number} has no test"
        assert numbered <= set(re.findall(r"test_\w+", row)), f"requirement {number} does not name its tests"


def test_every_test_that_is_named_exists() -> None:
    """The document names no test that is not there."""
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT.read_text()))
    assert named - _defined() == set()


def _defined() -> set[str]:
    return {
        name
        for folder in ("otlp_conformance", "otlp_receiver")
        for file in (TESTS / folder).glob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }

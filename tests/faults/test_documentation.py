"""docs/faults.md and the tests that it names belong together."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
DOCUMENT = TESTS.parent / "docs" / "faults.md"
WITHOUT_TESTS = {22}


def rows() -> dict[int, str]:
    return {int(number): row for number, row in re.findall(r"^\| F(\d+) \|(.*)$", DOCUMENT.read_text(), re.MULTILINE)}


def docstrings(file: Path) -> dict[str, str]:
    """Return the docstring of each test in a file, by name."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.parse(file.read_text()).body if isinstance(node, kinds)]
    return {node.name: ast.get_docstring(node) or "" for node in functions if node.name.startswith("test_")}


def test_every_fault_has_a_row_and_every_row_a_test() -> None:
    """The list counts from 1 to 26; the one fault that cannot happen yet says so."""
    assert list(rows()) == list(range(1, 27))
    assert {number for number, row in rows().items() if "::test_" not in row} == WITHOUT_TESTS


def test_every_test_that_is_named_exists() -> None:
    """Each is written as the file and the test, and the file has that test."""
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", DOCUMENT.read_text())
    assert len(named) > 40
    assert len(named) == DOCUMENT.read_text().count("::test_")
    missing = [(file, test) for file, test in named if test not in docstrings(TESTS / file)]
    assert not missing


def test_every_fault_test_stands_in_the_rows_that_it_speaks_of() -> None:
    """A test whose docstring begins with the number of a fault is named in the row of it."""
    spoken = {
        (int(number), f"`faults/{file.name}::{name}`")
        for file in Path(__file__).parent.glob("test_*.py")
        for name, said in docstrings(file).items()
        for number in re.findall(r"\bF(\d+)\b", said.partition(":")[0])
        if ":" in said
    }
    assert len(spoken) > 20
    unlisted = [(number, test) for number, test in sorted(spoken) if test not in rows()[number]]
    assert not unlisted

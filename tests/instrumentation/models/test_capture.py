"""Inputs and outputs: only what is asked for, of single rows, bounded, redacted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LinearRegression, LogisticRegression

from modelwatch_instrumentation.models import capture
from modelwatch_instrumentation.models.settings import ALWAYS_REDACTED, ModelSpanSettings, read_settings
from tests.instrumentation.models.conftest import Recorder, attributes

NAMES = ["amount", "email_hash", "age"]
ROWS = np.array([[1.0, 5, 1], [2.0, 6, 2], [3.0, 7, 3], [4.0, 8, 4]])
LABELS = ["no", "no", "yes", "yes"]
ASKED = {"OTEL_PYTHON_MODEL_SPANS_INPUTS": "amount, email_hash,missing", "OTEL_PYTHON_MODEL_SPANS_OUTPUT": "true"}


def test_the_settings_come_from_the_environment() -> None:
    """Names are trimmed; by default nothing is kept and telling names are redacted."""
    assert read_settings({}) == ModelSpanSettings()
    read = read_settings({**ASKED, "OTEL_PYTHON_MODEL_SPANS_REDACT": "Card-Number"})
    assert read.inputs == ("amount", "email_hash", "missing")
    assert read.keeps_output
    assert read.redacted == ALWAYS_REDACTED | {"cardnumber"}


class Frame:
    """What of a data frame is looked at: its columns, each with rows."""

    def __init__(self, **columns: list[Any]) -> None:
        self._columns = columns
        self.columns = list(columns)
        self.shape = (len(next(iter(columns.values()))), len(columns))

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]

    def __len__(self) -> int:
        raise AssertionError("the shape is enough")


def test_named_fields_of_a_single_row_are_kept(make_recorder: Callable[..., Recorder]) -> None:
    """By the names that the estimator was fitted with; other fields are not sent."""
    model = LogisticRegression().fit(ROWS, LABELS)
    model.feature_names_in_ = np.array(NAMES, dtype=object)
    recorder = make_recorder(**ASKED)
    with recorder.request(), pytest.warns(UserWarning, match="feature names"):
        model.predict(ROWS[3:])
    found = attributes(recorder.the_model_span())
    kept = {key: value for key, value in found.items() if key.startswith(("ml.input", "ml.output"))}
    assert kept == {"ml.input.amount": 4.0, "ml.input.email_hash": "[redacted]", "ml.output.class": "yes"}


@pytest.mark.parametrize(
    "data", [Frame(amount=[4.0], age=[1]), {"amount": np.array([4.0]), "age": np.array([1])}, ROWS[3:], [[4.0, 8, 4]]]
)
def test_named_fields_are_found_in_data_of_any_kind(data: Any) -> None:
    """In a data frame's columns, in named arrays, and in rows by the names of their columns."""
    found = capture.first_row(data, ["amount", "missing"], NAMES)
    assert capture.input_attributes(found, ()) == {"ml.input.amount": 4.0}


def test_several_rows_are_never_kept(make_recorder: Callable[..., Recorder]) -> None:
    """A batch leaves its size alone."""
    model = LogisticRegression().fit(ROWS, LABELS)
    recorder = make_recorder(**ASKED)
    with recorder.request():
        model.predict(ROWS)
    assert not [key for key in attributes(recorder.the_model_span()) if key.startswith(("ml.input", "ml.output"))]


def test_a_probability_and_a_value_are_kept_when_asked_for(make_recorder: Callable[..., Recorder]) -> None:
    """The likeliest class with its probability; a regression's value."""
    classifier, regression = LogisticRegression().fit(ROWS, LABELS), LinearRegression().fit(ROWS, [1, 2, 3, 4])
    recorder = make_recorder(OTEL_PYTHON_MODEL_SPANS_OUTPUT="true")
    with recorder.request():
        likelihood = classifier.predict_proba(ROWS[3:]).max()
        value = regression.predict(ROWS[3:])[0]
    of_classifier, of_regression = (attributes(span) for span in recorder.model_spans())
    assert (of_classifier["ml.output.class"], of_classifier["ml.output.probability"]) == ("yes", likelihood)
    assert of_regression["ml.output.value"] == value


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("x" * 1000, "x" * capture.MAX_CHARS),
        ("\ud800", "?"),
        (b"\xff", "\ufffd"),
        (True, True),
        (2**63, str(2**63)),
        (-(2**63), -(2**63)),
        (np.float32(0.5), 0.5),
        (np.array([[7]]), 7),
        (np.str_("a"), "a"),
        (np.array([1, 2]), None),
        ([1], None),
        ({"a": 1}, None),
        (None, None),
        (object(), None),
    ],
)
def test_a_value_is_kept_as_an_attribute_can_hold_it(value: Any, kept: object) -> None:
    """Texts are cut and made valid, numbers fit in 64 bits; what is no single value is left out."""
    found = capture.scalar_of(value)
    assert (found, type(found)) == (kept, type(kept))


def test_the_number_of_fields_is_bounded() -> None:
    """However many are passed."""
    assert len(capture.input_attributes({f"f{number}": number for number in range(100)}, ())) == capture.MAX_FIELDS


@pytest.mark.parametrize("name", ["email", "E-Mail", "user.Email_2", "API_KEY", "card-token"])
def test_telling_names_are_redacted(name: str) -> None:
    """Whatever their case and separators."""
    assert capture.is_redacted(name, ALWAYS_REDACTED)


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (np.zeros((3, 2)), 3),
        (sparse.csr_matrix((4, 2)), 4),
        (Frame(a=[1, 2, 3, 4]), 4),
        ([[1], [2]], 2),
        (("a", "b", "c"), 3),
        (np.float64(1), None),
        ("file.csv", None),
        (None, None),
    ],
)
def test_rows_are_counted_without_touching_the_data(data: Any, rows: int | None) -> None:
    """Arrays, sparse matrices, data frames and lists; nothing is made up for others."""
    assert capture.row_count(data) == rows

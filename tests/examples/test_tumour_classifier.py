"""tumour-classifier as a stranger uses it: over HTTP, in a process of its own."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from tests.examples.conftest import ModelApi

AVERAGE = {
    "radius": 14.1,
    "texture": 19.3,
    "perimeter": 92.0,
    "area": 655.0,
    "smoothness": 0.096,
    "compactness": 0.104,
    "concavity": 0.089,
    "concave_points": 0.049,
    "symmetry": 0.181,
    "fractal_dimension": 0.063,
}


@pytest.fixture
def api(model_apis: dict[str, ModelApi]) -> ModelApi:
    return model_apis["tumour-classifier"]


def test_health_tells_an_honest_accuracy(api: ModelApi, client: httpx.Client) -> None:
    """On patients it has not seen, the model is right in more than nine of ten cases."""
    answer = client.get(f"{api.url}/health").json()
    assert answer["status"] == "ready"
    assert 0.9 < answer["accuracy"] < 1


def test_known_patients_are_classified_as_they_were_diagnosed(api: ModelApi, client: httpx.Client) -> None:
    """Of 200 patients of the data set, sent in one batch, more than nine in ten come back as diagnosed, in order."""
    data = load_breast_cancer()
    rows: list[list[float]] = data.data[:200, : len(AVERAGE)].tolist()
    batch = [dict(zip(AVERAGE, row, strict=True)) for row in rows]
    answers = client.post(f"{api.url}/predict/batch", json=batch).raise_for_status().json()
    diagnosed = [str(data.target_names[target]) for target in data.target[:200]]
    assert np.mean([answer["diagnosis"] == known for answer, known in zip(answers, diagnosed, strict=True)]) > 0.9
    assert all(0.5 <= answer["probability"] <= 1 for answer in answers)


def test_a_single_prediction_equals_the_same_in_a_batch(api: ModelApi, client: httpx.Client) -> None:
    """One route or the other, the answer is the same."""
    single = client.post(f"{api.url}/predict", json=AVERAGE).raise_for_status().json()
    assert client.post(f"{api.url}/predict/batch", json=[AVERAGE]).json() == [single]


def test_a_stored_patient_is_classified(api: ModelApi, client: httpx.Client) -> None:
    """Patient 0 of the data set is malignant; one that is not there is not found."""
    assert client.get(f"{api.url}/patients/0/diagnosis").json()["diagnosis"] == "malignant"
    assert client.get(f"{api.url}/patients/569/diagnosis").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, AVERAGE | {"radius": -1}, AVERAGE | {"radius": "wide"}, AVERAGE | {"colour": 3}, [AVERAGE]],
    ids=["empty", "negative", "text", "unknown field", "list"],
)
def test_bad_input_is_refused(api: ModelApi, client: httpx.Client, body: Any) -> None:
    """Input that does not fit the types gets 422."""
    assert client.post(f"{api.url}/predict", json=body).status_code == 422


def test_a_nucleus_without_area_is_an_exception(api: ModelApi, client: httpx.Client) -> None:
    """An area of 0 fits the types, but the shape cannot be computed: 500, and the log shows the division."""
    assert client.post(f"{api.url}/predict", json=AVERAGE | {"area": 0}).status_code == 500
    api.wait_for_log("ZeroDivisionError")


@pytest.mark.usefixtures("healthy_stores")
def test_a_failing_store_fails_the_diagnosis_and_nothing_else(api: ModelApi, client: httpx.Client) -> None:
    """A store that refuses gives 500, one that is too slow 503; predictions that need no store still work."""
    client.put(f"{api.url}/demo/store", json={"failure_rate": 1}).raise_for_status()
    assert client.get(f"{api.url}/patients/0/diagnosis").status_code == 500
    client.put(f"{api.url}/demo/store", json={"delay_s": 2}).raise_for_status()
    late = client.get(f"{api.url}/patients/0/diagnosis")
    assert (late.status_code, late.headers["retry-after"]) == (503, "5")
    assert client.post(f"{api.url}/predict", json=AVERAGE).status_code == 200


def test_the_documentation_shows_examples_that_work(api: ModelApi, client: httpx.Client) -> None:
    """The examples in the OpenAPI document make a request that is answered."""
    schema = client.get(f"{api.url}/openapi.json").json()["components"]["schemas"]["Measurements"]
    example = {name: field["examples"][0] for name, field in schema["properties"].items()}
    assert client.post(f"{api.url}/predict", json=example).status_code == 200

"""diabetes-regressor as a stranger uses it: over HTTP, in a process of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from tests.examples.conftest import ModelApi

PATIENT = {
    "age": 59,
    "sex": 2,
    "bmi": 32.1,
    "blood_pressure": 101.0,
    "cholesterol": 157.0,
    "ldl": 93.2,
    "hdl": 38.0,
    "triglycerides": 129.0,
    "glucose": 87.0,
}


@pytest.fixture
def api(model_apis: dict[str, ModelApi]) -> ModelApi:
    return model_apis["diabetes-regressor"]


def test_known_patients_are_predicted_better_than_by_the_mean(api: ModelApi, client: httpx.Client) -> None:
    """The mean absolute error over 200 patients is a third below that of always answering their mean."""
    data = load_diabetes(scaled=False)
    patients = [
        {
            **dict(zip(PATIENT, [int(row[0]), int(row[1]), *row[2:7]], strict=False)),
            "triglycerides": float(np.exp(row[8])),
            "glucose": row[9],
        }
        for row in data.data[:200].tolist()
    ]
    answers = client.post(f"{api.url}/predict/batch", json=patients).raise_for_status().json()
    predicted, known = np.array([answer["progression"] for answer in answers]), data.target[:200]
    assert np.abs(predicted - known).mean() < np.abs(known.mean() - known).mean() * 2 / 3


def test_health_tells_an_honest_error(api: ModelApi, client: httpx.Client) -> None:
    """The error on patients the model has not seen lies where this data set allows: 40 to 50."""
    answer = client.get(f"{api.url}/health").json()
    assert answer["status"] == "ready"
    assert 35 < answer["mean_absolute_error"] < 50


def test_contributions_add_up_to_the_prediction(api: ModelApi, client: httpx.Client) -> None:
    """Average and contributions together are the prediction, which is the same as without explanation."""
    predicted = client.post(f"{api.url}/predict", json=PATIENT).raise_for_status().json()["progression"]
    answer = client.post(f"{api.url}/explain", json={"patient": PATIENT, "effort_s": 0.05}).raise_for_status().json()
    assert answer["progression"] == pytest.approx(predicted)
    assert answer["average"] + sum(answer["contributions"].values()) == pytest.approx(predicted)
    assert len(answer["contributions"]) == 10


def test_more_effort_means_more_permutations(api: ModelApi, client: httpx.Client) -> None:
    """An explanation costs the CPU time that was asked for, and gets more exact with it."""
    little, much = (
        client.post(f"{api.url}/explain", json={"patient": PATIENT, "effort_s": effort_s}).json()["permutations"]
        for effort_s in (0.02, 0.3)
    )
    assert much > 3 * little


def test_costly_explanations_make_others_wait(api: ModelApi, client: httpx.Client) -> None:
    """While an explanation computes for a second, a prediction that takes milliseconds waits for the model."""
    took_s = []
    with ThreadPoolExecutor() as pool:
        explanation = pool.submit(client.post, f"{api.url}/explain", json={"patient": PATIENT, "effort_s": 1})
        while not explanation.done():
            took_s.append(client.post(f"{api.url}/predict", json=PATIENT).raise_for_status().elapsed.total_seconds())
    assert max(took_s) > 0.5


@pytest.mark.parametrize(
    "body",
    [PATIENT | {"sex": "f"}, PATIENT | {"age": 300}, {"age": 59}, PATIENT | {"hdl": -1}],
    ids=["unknown sex", "too old", "incomplete", "negative"],
)
def test_bad_input_is_refused(api: ModelApi, client: httpx.Client, body: Any) -> None:
    """Input that does not fit the types gets 422."""
    assert client.post(f"{api.url}/predict", json=body).status_code == 422


def test_an_empty_batch_is_refused(api: ModelApi, client: httpx.Client) -> None:
    """A batch holds one to 200 patients."""
    assert client.post(f"{api.url}/predict/batch", json=[]).status_code == 422
    assert client.post(f"{api.url}/predict/batch", json=[PATIENT] * 201).status_code == 422


@pytest.mark.parametrize(("field", "exception"), [("triglycerides", "math domain"), ("hdl", "ZeroDivisionError")])
def test_impossible_blood_is_an_exception(api: ModelApi, client: httpx.Client, field: str, exception: str) -> None:
    """Blood without triglycerides or HDL fits the types, but no features can be made of it: 500, and a log."""
    assert client.post(f"{api.url}/predict", json=PATIENT | {field: 0}).status_code == 500
    api.wait_for_log(exception)

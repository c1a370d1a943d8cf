"""diabetes-regressor: predicts how far diabetes will have progressed after a year, and explains itself.

Gradient-boosted trees on scikit-learn's diabetes data (Efron et al., 2004), in the units of the blood test. One model
serves one computation at a time, so costly explanations make everybody else wait: the API is then short of CPU.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Literal, TypedDict

import numpy as np
from fastapi import Body, FastAPI, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import train_test_split

FEATURES = (
    "age",
    "sex",
    "bmi",
    "blood_pressure",
    "cholesterol",
    "ldl",
    "hdl",
    "cholesterol_ratio",
    "log_triglycerides",
    "glucose",
)

NotNegative = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Patient(BaseModel, frozen=True, extra="forbid"):
    """One patient's blood test; concentrations in mg/dl, blood pressure in mm Hg."""

    age: int = Field(ge=0, le=120, examples=[52])
    sex: Literal[1, 2] = Field(examples=[2])
    bmi: float = Field(gt=5, lt=100, examples=[26.4])
    blood_pressure: NotNegative = Field(examples=[94.0])
    cholesterol: NotNegative = Field(examples=[189.0])
    ldl: NotNegative = Field(examples=[115.0])
    hdl: NotNegative = Field(examples=[49.0])
    triglycerides: NotNegative = Field(examples=[104.0])
    glucose: NotNegative = Field(examples=[91.0])


class Prediction(BaseModel):
    """Progression after one year, on the data set's scale of 25 to 346."""

    progression: float


class ExplanationRequest(BaseModel, frozen=True, extra="forbid"):
    """Whom to explain, and how many seconds of CPU that may cost: the more, the more exact."""

    patient: Patient
    effort_s: float = Field(default=0.02, gt=0, le=2, description="seconds of CPU to spend")


class Explanation(BaseModel):
    """Shapley values: what each feature adds to the average progression; together they give the prediction."""

    progression: float
    average: float
    contributions: dict[str, float]
    permutations: int


class Health(BaseModel):
    """Ready, with what training gave: mean absolute error on a held-out quarter, in units of the progression."""

    status: Literal["ready"] = "ready"
    mean_absolute_error: float
    trained_in_s: float


class DiabetesModel:
    """The trained trees; one computation at a time."""

    def __init__(self, trees: GradientBoostingRegressor, average: NDArray[np.float64], health: Health) -> None:
        self.health = health
        self._trees = trees
        self._average = average
        self._one_at_a_time = threading.Lock()

    def predict(self, patients: Sequence[Patient]) -> list[Prediction]:
        """Predict each. Raises `ValueError` for triglycerides of 0, `ZeroDivisionError` for HDL of 0: no such blood."""
        rows = [features_of(patient) for patient in patients]
        with self._one_at_a_time:
            return [Prediction(progression=value) for value in self._trees.predict(rows)]

    def explain(self, patient: Patient, effort_s: float) -> Explanation:
        """Estimate Shapley values by permutation sampling (Štrumbelj & Kononenko, 2014) for `effort_s` of CPU time.

        Each permutation turns the average patient into this one, feature by feature, and credits each with the change.
        However busy the machine is, no more is begun after twice the time.
        """
        own = np.array(features_of(patient))
        order = list(range(len(FEATURES)))
        credits_ = np.zeros(len(FEATURES))
        permutations, shuffle = 0, random.Random(0).shuffle
        with self._one_at_a_time:
            ends_s, latest_s = time.thread_time() + effort_s, time.monotonic() + 2 * effort_s
            while permutations == 0 or (time.thread_time() < ends_s and time.monotonic() < latest_s):
                shuffle(order)
                values = self._trees.predict(_path(self._average, own, order))
                credits_[order] += np.diff(values)
                permutations += 1
        contributions = dict(zip(FEATURES, (credits_ / permutations).tolist(), strict=True))
        return Explanation(
            progression=values[-1], average=values[0], contributions=contributions, permutations=permutations
        )


class State(TypedDict):
    """What the lifespan hands to every request."""

    model: DiabetesModel


def features_of(patient: Patient) -> list[float]:
    """Return the ten features in the order of `FEATURES`."""
    ratio = patient.cholesterol / patient.hdl
    return [
        patient.age,
        patient.sex,
        patient.bmi,
        patient.blood_pressure,
        patient.cholesterol,
        patient.ldl,
        patient.hdl,
        ratio,
        math.log(patient.triglycerides),
        patient.glucose,
    ]


def train() -> DiabetesModel:
    """Fit on three quarters of the patients and try it on the rest."""
    started_s = time.perf_counter()
    data = load_diabetes(scaled=False)
    features = data.data.copy()
    features[:, 7] = features[:, 4] / features[:, 6]  # the data set rounds this ratio; requests do not
    fit_on, try_on, fit_targets, try_targets = train_test_split(features, data.target, random_state=7)
    trees = GradientBoostingRegressor(n_estimators=120, max_depth=2, learning_rate=0.06, subsample=0.7, random_state=7)
    trees.fit(fit_on, fit_targets)
    error = float(np.abs(trees.predict(try_on) - try_targets).mean())
    health = Health(mean_absolute_error=error, trained_in_s=time.perf_counter() - started_s)
    return DiabetesModel(trees, fit_on.mean(axis=0), health)


def _path(average: NDArray[np.float64], own: NDArray[np.float64], order: Sequence[int]) -> NDArray[np.float64]:
    """Return the average patient, then that patient with one more own feature per row, in this order."""
    rows = np.tile(average, (len(order) + 1, 1))
    for step, feature in enumerate(order, start=1):
        rows[step:, feature] = own[feature]
    return rows


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Train before the first request is taken."""
    yield {"model": train()}


app = FastAPI(title="diabetes-regressor", description=__doc__, lifespan=lifespan)


@app.post("/predict")
def predict(request: Request, patient: Patient) -> Prediction:
    """Predict one patient's progression."""
    model: DiabetesModel = request.state.model
    return model.predict([patient])[0]


@app.post("/predict/batch")
def predict_batch(
    request: Request, patients: Annotated[list[Patient], Body(min_length=1, max_length=200)]
) -> list[Prediction]:
    """Predict up to 200 patients; the answers are in the order of the questions."""
    model: DiabetesModel = request.state.model
    return model.predict(patients)


@app.post("/explain")
def explain(request: Request, question: ExplanationRequest) -> Explanation:
    """Say which features move this patient's prediction, and how far."""
    model: DiabetesModel = request.state.model
    return model.explain(question.patient, question.effort_s)


@app.get("/health")
async def health(request: Request) -> Health:
    """Answers once the model is trained."""
    model: DiabetesModel = request.state.model
    return model.health

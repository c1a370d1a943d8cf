"""tumour-classifier: tells malignant from benign tumours by ten measurements of cell nuclei.

A random forest on scikit-learn's breast cancer data (Wisconsin, 1995). A patient's measurements can be sent along, or
looked up in a record store; when that store fails, so does this API, as most would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

import numpy as np
from fastapi import Body, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from examples.model_apis import mishaps, record_store
from examples.model_apis.mishaps import Balloon
from examples.model_apis.record_store import RecordStore

FIELDS = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave_points",
    "symmetry",
    "fractal_dimension",
)
STORE_TIMEOUT_S = 0.3

Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Measurements(BaseModel, frozen=True, extra="forbid"):
    """Means over the nuclei in one image; lengths in the image's own units."""

    radius: Positive = Field(examples=[14.1])
    texture: Positive = Field(examples=[19.3])
    perimeter: Positive = Field(examples=[92.0])
    area: Positive = Field(examples=[655.0])
    smoothness: Positive = Field(examples=[0.096])
    compactness: Positive = Field(examples=[0.104])
    concavity: Positive = Field(examples=[0.089])
    concave_points: Positive = Field(examples=[0.049])
    symmetry: Positive = Field(examples=[0.181])
    fractal_dimension: Positive = Field(examples=[0.063])


class Diagnosis(BaseModel):
    """The likelier class and the model's probability for it, 0.5 to 1."""

    diagnosis: Literal["malignant", "benign"]
    probability: float


class Health(BaseModel):
    """Ready, with what training gave: accuracy on a held-out quarter of the data, 0 to 1."""

    status: Literal["ready"] = "ready"
    accuracy: float
    trained_in_s: float


@dataclass(frozen=True)
class TumourModel:
    """The trained forest and how good it is."""

    forest: RandomForestClassifier
    health: Health

    def diagnose(self, batch: Sequence[Measurements]) -> list[Diagnosis]:
        """Classify each. Raises `ZeroDivisionError` on a nucleus without area: the model needs its shape."""
        rows = [features_of(measurements) for measurements in batch]
        malignant_first = self.forest.predict_proba(rows)
        return [
            Diagnosis(diagnosis="malignant" if malignant >= benign else "benign", probability=max(malignant, benign))
            for malignant, benign in malignant_first
        ]


class State(TypedDict):
    """What the lifespan hands to every request."""

    model: TumourModel
    store: RecordStore[Measurements]
    balloon: Balloon


def features_of(measurements: Measurements) -> list[float]:
    """Return the ten fields and the roundness of the outline (4π for a circle)."""
    return [*(getattr(measurements, name) for name in FIELDS), measurements.perimeter**2 / measurements.area]


def load_patients() -> tuple[list[Measurements], list[int]]:
    """Return all patients of the data set, and 0 for malignant or 1 for benign."""
    data = load_breast_cancer()
    patients = [Measurements(**dict(zip(FIELDS, row, strict=True))) for row in data.data[:, : len(FIELDS)].tolist()]
    return patients, data.target.tolist()


def train(patients: Sequence[Measurements], classes: Sequence[int]) -> TumourModel:
    """Fit a forest of 200 trees on three quarters of the patients and try it on the rest."""
    started_s = time.perf_counter()
    features = np.array([features_of(patient) for patient in patients])
    fit_on, try_on, fit_classes, try_classes = train_test_split(features, classes, random_state=7, stratify=classes)
    forest = RandomForestClassifier(200, random_state=7).fit(fit_on, fit_classes)
    accuracy = float(forest.score(try_on, try_classes))
    return TumourModel(forest, Health(accuracy=accuracy, trained_in_s=time.perf_counter() - started_s))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Train before the first request is taken."""
    patients, classes = load_patients()
    yield {"model": train(patients, classes), "store": RecordStore(dict(enumerate(patients))), "balloon": Balloon()}


app = FastAPI(title="tumour-classifier", description=__doc__, lifespan=lifespan)
app.include_router(record_store.router)
app.include_router(mishaps.router)


@app.post("/predict")
def predict(request: Request, measurements: Measurements) -> Diagnosis:
    """Classify one tumour."""
    model: TumourModel = request.state.model
    return model.diagnose([measurements])[0]


@app.post("/predict/batch")
def predict_batch(
    request: Request, batch: Annotated[list[Measurements], Body(min_length=1, max_length=200)]
) -> list[Diagnosis]:
    """Classify up to 200 tumours; the answers are in the order of the questions."""
    model: TumourModel = request.state.model
    return model.diagnose(batch)


@app.get("/patients/{patient_id}/diagnosis", responses={404: {}, 503: {}})
async def diagnose_patient(request: Request, patient_id: int) -> Diagnosis:
    """Classify a patient whose measurements are in the record store."""
    store: RecordStore[Measurements] = request.state.store
    model: TumourModel = request.state.model
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            measurements = await store.fetch(patient_id)
    except KeyError:
        raise HTTPException(404, f"no patient {patient_id}") from None
    except TimeoutError:
        raise HTTPException(503, "the record store is slow; try again", {"Retry-After": "5"}) from None
    return (await asyncio.to_thread(model.diagnose, [measurements]))[0]


@app.get("/health")
async def health(request: Request) -> Health:
    """Answers once the model is trained."""
    model: TumourModel = request.state.model
    return model.health

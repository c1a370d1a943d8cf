"""digits-reader: reads handwritten digits from images of 8 by 8 pixels.

A small neural network on scikit-learn's digits data (Alpaydin & Kaynak, 1998). Images can be sent along, streamed back
one answer at a time, or looked up in a store of scans; when that store is slow, so is this API.
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
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.model_apis import mishaps, record_store
from examples.model_apis.mishaps import Balloon
from examples.model_apis.record_store import RecordStore

PAUSE_BETWEEN_LINES_S = 0.015

Row = Annotated[list[Annotated[int, Field(ge=0, le=16)]], Field(min_length=8, max_length=8)]
Pixels = Annotated[list[Row], Field(min_length=8, max_length=8)]
SEVEN = [
    [0, 0, 3, 13, 16, 16, 16, 10],
    [0, 0, 10, 16, 13, 16, 16, 6],
    [0, 0, 0, 0, 0, 10, 10, 0],
    [0, 0, 0, 0, 6, 16, 3, 0],
    [0, 0, 13, 13, 16, 16, 6, 0],
    [0, 0, 16, 16, 16, 10, 3, 0],
    [0, 0, 0, 16, 6, 0, 0, 0],
    [0, 0, 6, 13, 3, 0, 0, 0],
]


class Image(BaseModel, frozen=True, extra="forbid"):
    """Eight rows of eight pixels, 0 for paper to 16 for ink."""

    pixels: Pixels = Field(examples=[SEVEN])


class Reading(BaseModel):
    """The likeliest digit and the network's probability for it, 0 to 1."""

    digit: int
    probability: float


class Health(BaseModel):
    """Ready, with what training gave: accuracy on a held-out quarter of the data, 0 to 1."""

    status: Literal["ready"] = "ready"
    accuracy: float
    trained_in_s: float


@dataclass(frozen=True)
class DigitsModel:
    """The trained network and how good it is."""

    network: Pipeline
    health: Health

    def read(self, images: Sequence[Image]) -> list[Reading]:
        """Read each. Raises `ValueError` on a blank image: without ink the contrast cannot be stretched."""
        probabilities = self.network.predict_proba(stretched(np.array([image.pixels for image in images], float)))
        return [Reading(digit=int(row.argmax()), probability=float(row.max())) for row in probabilities]


class State(TypedDict):
    """What the lifespan hands to every request."""

    model: DigitsModel
    store: RecordStore[Image]
    balloon: Balloon


def stretched(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return images (n, 8, 8) as rows (n, 64) whose darkest pixel is 1; a blank image gives NaN."""
    rows = images.reshape(len(images), -1)
    with np.errstate(invalid="ignore"):
        return np.asarray(rows / rows.max(axis=1, keepdims=True))


def train(images: NDArray[np.float64], digits: NDArray[np.int64]) -> DigitsModel:
    """Fit a network of 64 hidden units on three quarters of the images and try it on the rest."""
    started_s = time.perf_counter()
    fit_on, try_on, fit_digits, try_digits = train_test_split(
        stretched(images), digits, random_state=7, stratify=digits
    )
    network = make_pipeline(StandardScaler(), MLPClassifier((64,), max_iter=300, tol=1e-3, random_state=7))
    network.fit(fit_on, fit_digits)
    accuracy = float(network.score(try_on, try_digits))
    return DigitsModel(network, Health(accuracy=accuracy, trained_in_s=time.perf_counter() - started_s))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Train before the first request is taken."""
    data = load_digits()
    scans = {number: Image(pixels=image.astype(int).tolist()) for number, image in enumerate(data.images)}
    yield {"model": train(data.images, data.target), "store": RecordStore(scans), "balloon": Balloon()}


app = FastAPI(title="digits-reader", description=__doc__, lifespan=lifespan)
app.include_router(record_store.router)
app.include_router(mishaps.router)


@app.post("/predict")
def predict(request: Request, image: Image) -> Reading:
    """Read one digit."""
    model: DigitsModel = request.state.model
    return model.read([image])[0]


@app.post("/predict/batch")
def predict_batch(
    request: Request, images: Annotated[list[Image], Body(min_length=1, max_length=200)]
) -> list[Reading]:
    """Read up to 200 digits; the answers are in the order of the images."""
    model: DigitsModel = request.state.model
    return model.read(images)


@app.post("/predict/stream", response_class=StreamingResponse)
async def predict_stream(
    request: Request, images: Annotated[list[Image], Body(min_length=1, max_length=200)]
) -> StreamingResponse:
    """Read up to 200 digits and send each reading as soon as it is there, one JSON object per line (NDJSON)."""
    model: DigitsModel = request.state.model
    return StreamingResponse(_lines(model, images), media_type="application/x-ndjson")


@app.get("/scans/{scan_id}/reading", responses={404: {}})
async def read_scan(request: Request, scan_id: int) -> Reading:
    """Read a digit whose image is in the store of scans."""
    store: RecordStore[Image] = request.state.store
    model: DigitsModel = request.state.model
    try:
        image = await store.fetch(scan_id)
    except KeyError:
        raise HTTPException(404, f"no scan {scan_id}") from None
    return (await asyncio.to_thread(model.read, [image]))[0]


@app.get("/health")
async def health(request: Request) -> Health:
    """Answers once the model is trained."""
    model: DigitsModel = request.state.model
    return model.health


async def _lines(model: DigitsModel, images: Sequence[Image]) -> AsyncIterator[str]:
    for image in images:
        reading = (await asyncio.to_thread(model.read, [image]))[0]
        yield reading.model_dump_json() + "\n"
        await asyncio.sleep(PAUSE_BETWEEN_LINES_S)

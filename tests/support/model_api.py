"""A small model API whose outcomes a test knows in advance. It knows nothing of OpenTelemetry."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()


class Features(BaseModel):
    """What a prediction is asked with."""

    values: list[float]
    delay_s: float = 0.0


@app.get("/ready")
async def ready() -> str:
    return "yes"


@app.post("/predict")
async def predict(features: Features) -> float:
    await asyncio.sleep(features.delay_s)
    return sum(features.values)


@app.get("/models/{name}")
async def model(name: str) -> str:
    if name == "none":
        raise HTTPException(404, "no such model")
    return name


@app.post("/fail")
async def fail() -> None:
    raise ArithmeticError("singular matrix")

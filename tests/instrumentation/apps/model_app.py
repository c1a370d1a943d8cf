"""A model API that knows nothing of OpenTelemetry: a pipeline from a pickle, asked in every way that APIs ask."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

loaded_before = sorted({"sklearn", "xgboost", "lightgbm", "onnxruntime", "numpy"} & set(sys.modules))

from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

trained = make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
model = pickle.loads(pickle.dumps(trained))
app = FastAPI()


@app.get("/loaded")
async def loaded() -> list[str]:
    """What was imported before the application asked for it."""
    return loaded_before


@app.get("/direct/{value}")
async def direct(value: float) -> int:
    return int(model.predict([[value]])[0])


@app.get("/threaded/{value}")
def threaded(value: float) -> int:
    return int(model.predict([[value]])[0])


@app.get("/executor/{value}")
async def executor(value: float) -> int:
    return int((await asyncio.get_running_loop().run_in_executor(None, model.predict, [[value]]))[0])


async def _events() -> AsyncIterator[bytes]:
    while True:
        yield b"data: 1\n\n"
        await asyncio.sleep(0.2)


@app.get("/events")
async def events() -> StreamingResponse:
    return StreamingResponse(_events(), media_type="text/event-stream")


@app.get("/wrong")
def wrong() -> int:
    return int(model.predict([[1.0, 2.0]])[0])

"""What a model server is asked: its own routes, and nothing that changes anything."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Header
from pydantic import BaseModel

from modelwatch.doctor.asking import MAX_ROUTES, Question, questions


class Features(BaseModel):
    """A body that an empty object is not."""

    amount: float


class Options(BaseModel):
    """A body that an empty object is."""

    verbose: bool = False


def test_the_routes_come_from_the_openapi_document() -> None:
    """GET with its parameters filled in, POST only where an empty object is sure to be refused, probes last."""
    app = FastAPI()

    @app.get("/health")
    @app.get("/items/{item_id}/{name}")
    def items(item_id: int = 1, name: str = "") -> None: ...

    @app.get("/guarded")
    def guarded(token: str = Header()) -> None: ...

    @app.post("/predict")
    def predict(features: Features) -> None: ...

    @app.post("/predict/batch")
    def predict_batch(features: list[Features]) -> None: ...

    @app.post("/reload")
    def reload() -> None: ...

    @app.post("/retrain")
    def retrain(options: Options) -> None: ...

    @app.delete("/items/{item_id}")
    def delete(item_id: int) -> None: ...

    assert questions(app.openapi()) == [
        Question("GET", "/items/1/1"),
        Question("POST", "/predict", has_body=True),
        Question("POST", "/predict/batch", has_body=True),
        Question("GET", "/health"),
    ]


@pytest.mark.parametrize("document", [None, "text", [], {}, {"paths": 7}, {"paths": {"/a": {"get": None}, "/b": 1}}])
def test_without_a_document_the_root_and_usual_probes_are_asked(document: Any) -> None:
    """Whatever a server answers to /openapi.json."""
    assert questions(document) == [Question("GET", "/"), Question("GET", "/health"), Question("GET", "/metrics")]


def test_the_number_of_questions_is_bounded() -> None:
    """Of hundreds of routes a few are enough."""
    paths = {f"/route{number}": {"get": {}} for number in range(300)}
    assert len(questions({"paths": paths})) == MAX_ROUTES

"""Inference calls of real models of four libraries leave one span each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pytest
import xgboost
from onnx import TensorProto, helper
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.instrumentation.models.conftest import Recorder, attributes

ROWS = np.random.default_rng(7).normal(size=(40, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)
VALUES = ROWS @ np.array([1.0, -2.0, 0.5])
XGBOOST_VERSION = version("xgboost-cpu")


def onnx_bytes(name: str = "main_graph", **metadata: str) -> bytes:
    """Return a model that doubles its input `x` and adds nothing."""
    shape = [None, 3]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def session(source: str | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2  # `run_async` needs more than the calling thread
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Models:
    """One of each kind, trained once."""

    linear: LinearRegression
    logistic: LogisticRegression
    pipeline: Pipeline
    projection: Pipeline
    stacking: StackingClassifier
    forest: RandomForestClassifier
    search: GridSearchCV
    outliers: IsolationForest
    xgb: xgboost.XGBClassifier
    xgb_regressor: xgboost.XGBRegressor
    xgb_ranker: xgboost.XGBRanker
    lgbm: lightgbm.LGBMClassifier
    lgbm_regressor: lightgbm.LGBMRegressor
    onnx: onnxruntime.InferenceSession


@pytest.fixture(scope="module")
def models() -> Models:
    few: dict[str, Any] = {"n_estimators": 3, "n_jobs": 1}
    quiet: dict[str, Any] = {**few, "verbose": -1, "min_child_samples": 2}
    return Models(
        linear=LinearRegression().fit(ROWS, VALUES),
        logistic=LogisticRegression().fit(ROWS, LABELS),
        pipeline=make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS),
        projection=make_pipeline(StandardScaler(), PCA(2)).fit(ROWS),
        stacking=StackingClassifier([("a", LogisticRegression()), ("b", LogisticRegression(C=2))], cv=2).fit(
            ROWS, LABELS
        ),
        forest=RandomForestClassifier(4, n_jobs=2, random_state=7).fit(ROWS, LABELS),
        search=GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2).fit(ROWS, LABELS),
        outliers=IsolationForest(n_estimators=3, random_state=7).fit(ROWS),
        xgb=xgboost.XGBClassifier(**few).fit(ROWS, LABELS),
        xgb_regressor=xgboost.XGBRegressor(**few).fit(ROWS, VALUES),
        xgb_ranker=xgboost.XGBRanker(**few).fit(ROWS, LABELS, group=[20, 20]),
        lgbm=lightgbm.LGBMClassifier(**quiet).fit(ROWS, LABELS),
        lgbm_regressor=lightgbm.LGBMRegressor(**quiet).fit(ROWS, VALUES),
        onnx=session(onnx_bytes()),
    )


SKLEARN = ("scikit-learn", version("scikit-learn"))
XGBOOST = ("xgboost", XGBOOST_VERSION)
LIGHTGBM = ("lightgbm", version("lightgbm"))
ONNX = ("onnxruntime", version("onnxruntime"))
FLOATS = ROWS[:5].astype(np.float32)
CALLS: list[tuple[Callable[[Models], Any], str, tuple[str, str]]] = [
    (lambda m: m.linear.predict(ROWS[:5]), "predict LinearRegression", SKLEARN),
    (lambda m: m.logistic.predict(X=ROWS[:5].tolist()), "predict LogisticRegression", SKLEARN),
    (lambda m: m.logistic.predict_proba(ROWS[:5]), "predict_proba LogisticRegression", SKLEARN),
    (lambda m: m.logistic.predict_log_proba(ROWS[:5]), "predict_log_proba LogisticRegression", SKLEARN),
    (lambda m: m.logistic.decision_function(ROWS[:5]), "decision_function LogisticRegression", SKLEARN),
    (lambda m: m.pipeline.predict(ROWS[:5]), "predict LogisticRegression", SKLEARN),
    (lambda m: m.pipeline.predict_proba(ROWS[:5]), "predict_proba LogisticRegression", SKLEARN),
    (lambda m: m.projection.transform(ROWS[:5]), "transform PCA", SKLEARN),
    (lambda m: m.stacking.predict(ROWS[:5]), "predict StackingClassifier", SKLEARN),
    (lambda m: m.forest.predict_proba(ROWS[:5]), "predict_proba RandomForestClassifier", SKLEARN),
    (lambda m: m.search.predict(ROWS[:5]), "predict LogisticRegression", SKLEARN),
    (lambda m: m.outliers.score_samples(ROWS[:5]), "score_samples IsolationForest", SKLEARN),
    (lambda m: m.xgb.predict(ROWS[:5]), "predict XGBClassifier", XGBOOST),
    (lambda m: m.xgb.predict_proba(ROWS[:5]), "predict_proba XGBClassifier", XGBOOST),
    (lambda m: m.xgb_regressor.predict(ROWS[:5]), "predict XGBRegressor", XGBOOST),
    (lambda m: m.xgb_ranker.predict(ROWS[:5]), "predict XGBRanker", XGBOOST),
    (lambda m: m.xgb.get_booster().predict(xgboost.DMatrix(ROWS[:5])), "predict Booster", XGBOOST),
    (lambda m: m.xgb.get_booster().inplace_predict(ROWS[:5]), "inplace_predict Booster", XGBOOST),
    (lambda m: m.lgbm.predict(ROWS[:5]), "predict LGBMClassifier", LIGHTGBM),
    (lambda m: m.lgbm.predict_proba(ROWS[:5]), "predict_proba LGBMClassifier", LIGHTGBM),
    (lambda m: m.lgbm_regressor.predict(ROWS[:5]), "predict LGBMRegressor", LIGHTGBM),
    (lambda m: m.lgbm.booster_.predict(ROWS[:5]), "predict Booster", LIGHTGBM),
    (lambda m: m.onnx.run(None, {"x": FLOATS}), "run InferenceSession", ONNX),
    (lambda m: m.onnx.run(output_names=["y"], input_feed={"x": FLOATS}), "run InferenceSession", ONNX),
]


@pytest.mark.parametrize(
    ("call", "name", "framework"), CALLS, ids=lambda value: value if isinstance(value, str) else ""
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_an_inference_call_is_one_span_within_its_request(
    recorder: Recorder, models: Models, call: Callable[[Models], Any], name: str, framework: tuple[str, str]
) -> None:
    """However many estimators, boosters and threads work on it; with the model, the library and the batch size."""
    with recorder.request() as request:
        call(models)
    (span,) = (span for span in recorder.spans() if span.kind is not SpanKind.SERVER)
    found = attributes(span)
    assert (span.name, span.kind, span.parent) == (name, SpanKind.INTERNAL, request.get_span_context())
    assert (found["ml.framework.name"], found["ml.framework.version"]) == framework
    assert (found["ml.operation.name"], found["ml.model.name"]) == tuple(name.split())
    assert found["ml.batch.size"] == 5
    assert not [key for key in found if key.startswith(("ml.input", "ml.output"))]
    assert span.instrumentation_scope is not None
    assert dict(span.instrumentation_scope.attributes or {}) == {"modelwatch.model_spans.schema_version": "1.0.0"}


def test_results_are_what_they_are_without_spans(recorder: Recorder, models: Models) -> None:
    """A recorded call returns the very same numbers."""
    bare = [models.pipeline.predict_proba(ROWS), models.xgb.predict(ROWS), models.onnx.run(None, {"x": FLOATS})[0]]
    with recorder.request():
        seen = [models.pipeline.predict_proba(ROWS), models.xgb.predict(ROWS), models.onnx.run(None, {"x": FLOATS})[0]]
    assert all(np.array_equal(one, other) for one, other in zip(bare, seen, strict=True))
    assert len(recorder.model_spans()) == 3


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m: m.logistic.predict(ROWS[:, :2]), ValueError),
        (lambda m: m.xgb.predict(ROWS[:, :2]), ValueError),
        (lambda m: m.lgbm.booster_.predict(ROWS[:, :2]), lightgbm.basic.LightGBMError),
        (lambda m: m.onnx.run(None, {"z": FLOATS}), ValueError),
    ],
)
def test_a_call_that_fails_is_a_failed_span(
    recorder: Recorder, models: Models, call: Callable[[Models], Any], error: type[Exception]
) -> None:
    """The application gets the library's exception, the span its type and its event."""
    with recorder.request(), pytest.raises(error) as raised:
        call(models)
    span = recorder.the_model_span()
    assert span.status.status_code is StatusCode.ERROR
    assert str(attributes(span)["error.type"]).endswith(type(raised.value).__name__)
    assert [event.name for event in span.events] == ["exception"]


def test_an_asynchronous_run_ends_with_its_callback(recorder: Recorder, models: Models) -> None:
    """The span covers the work on ONNX Runtime's own thread, and the caller's context is its own again at once."""
    is_answered = threading.Event()
    answers: list[Any] = []

    def callback(results: Any, data: Any, error: str) -> None:
        answers.append((results, data, error))
        is_answered.set()

    with recorder.request() as request:
        models.onnx.run_async(["y"], {"x": FLOATS}, callback, "mine")
        assert trace.get_current_span() is request
        assert is_answered.wait(20)
    ((results, data, error),) = answers
    assert (data, error) == ("mine", "")
    assert np.array_equal(results[0], 2 * FLOATS)
    assert recorder.the_model_span().name == "run_async InferenceSession"


def test_an_onnx_model_tells_its_name_and_version(recorder: Recorder, tmp_path: Path) -> None:
    """Its metadata first, then the name of its file, then that of its graph."""
    path = tmp_path / "churn.onnx"
    path.write_bytes(onnx_bytes("some_graph"))
    named = session(onnx_bytes("some_graph", ml_model_name="fraud", ml_model_version="7"))
    with recorder.request():
        for one in (named, session(str(path)), session(onnx_bytes("some_graph"))):
            one.run(None, {"x": FLOATS})
    found = [attributes(span) for span in recorder.model_spans()]
    assert [one["ml.model.name"] for one in found] == ["fraud", "churn", "some_graph"]
    assert [one.get("ml.model.version") for one in found] == ["7", None, None]


def test_a_booster_tells_its_name_and_version(recorder: Recorder, models: Models) -> None:
    """XGBoost stores attributes with a model; they are read through either interface."""
    classifier = xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(ROWS, LABELS)
    classifier.get_booster().set_attr(ml_model_name="fraud", ml_model_version="7")
    with recorder.request():
        classifier.predict(ROWS)
        classifier.get_booster().inplace_predict(ROWS)
    for span in recorder.model_spans():
        assert (attributes(span)["ml.model.name"], attributes(span)["ml.model.version"]) == ("fraud", "7")


def test_a_derived_model_of_the_application_is_recorded(recorder: Recorder) -> None:
    """A class that the application derives, from scikit-learn's or from XGBoost's, is one model like theirs."""

    class Rounded(LinearRegression):  # type: ignore[misc]
        def predict(self, X: Any) -> Any:  # noqa: N803
            return super().predict(X).round()

    class Boosted(xgboost.XGBRegressor):  # type: ignore[misc]
        def predict(self, X: Any, **kwargs: Any) -> Any:  # noqa: N803
            return super().predict(X, **kwargs)

    with recorder.request():
        Rounded().fit(ROWS, VALUES).predict(ROWS)
        Boosted(n_estimators=2, n_jobs=1).fit(ROWS, VALUES).predict(ROWS)
    found = [(span.name, attributes(span)["ml.framework.name"]) for span in recorder.model_spans()]
    assert found == [("predict Rounded", "scikit-learn"), ("predict Boosted", "xgboost")]

"""When calls are recorded, and that recording them leaves models as they are."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudpickle
import numpy as np
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelwatch_instrumentation import model_span, name_model
from modelwatch_instrumentation.models.calls import Library, open_span
from modelwatch_instrumentation.models.naming import Framework
from modelwatch_instrumentation.models.sklearn import SklearnInstrumentor
from tests.instrumentation.models.conftest import Recorder, attributes

ROWS = np.random.default_rng(7).normal(size=(40, 2))
LABELS = (ROWS[:, 0] > 0).astype(int)
MakeRecorder = Callable[..., Recorder]


@pytest.fixture(scope="module")
def model() -> LogisticRegression:
    return LogisticRegression().fit(ROWS, LABELS)


def test_a_call_outside_of_any_request_is_not_recorded(recorder: Recorder, model: LogisticRegression) -> None:
    """Training and warming up at the start leave nothing."""
    model.predict(ROWS)
    assert recorder.spans() == []


def test_always_records_calls_by_themselves_once(make_recorder: MakeRecorder) -> None:
    """A batch job's call is a trace of its own; what the threads of an estimator do is part of it."""
    forest = RandomForestClassifier(6, n_jobs=2, random_state=7).fit(ROWS, LABELS)
    recorder = make_recorder(OTEL_PYTHON_MODEL_SPANS="always")
    forest.predict_proba(ROWS)
    span = recorder.the_model_span()
    assert (span.name, span.parent) == ("predict_proba RandomForestClassifier", None)


def test_off_switches_everything_off(make_recorder: MakeRecorder, model: LogisticRegression) -> None:
    """Neither libraries nor the application's own model spans are recorded."""
    recorder = make_recorder(OTEL_PYTHON_MODEL_SPANS="off")
    with recorder.request(), model_span("mine") as span:
        model.predict(ROWS)
        span.set_output(1.0)
    assert recorder.model_spans() == []


def test_a_mode_that_does_not_exist_is_told(
    make_recorder: MakeRecorder, model: LogisticRegression, caplog: pytest.LogCaptureFixture
) -> None:
    """The default holds, and the log says so."""
    recorder = make_recorder(OTEL_PYTHON_MODEL_SPANS="allways")
    with recorder.request():
        model.predict(ROWS)
    assert recorder.the_model_span()
    assert "OTEL_PYTHON_MODEL_SPANS=allways is none of request, always, off" in caplog.text


@pytest.mark.parametrize("mode", ["request", "always"])
def test_what_the_sampler_left_out_stays_out(make_recorder: MakeRecorder, model: LogisticRegression, mode: str) -> None:
    """A request that is not sampled has no model spans, which would be traces without a root."""
    recorder = make_recorder(OTEL_PYTHON_MODEL_SPANS=mode)
    recorder.provider.sampler = ALWAYS_OFF
    with recorder.request():
        recorder.provider.sampler = type(recorder.provider)(shutdown_on_exit=False).sampler
        model.predict(ROWS)
        with model_span("mine"):
            pass
    assert recorder.spans() == []


async def test_calls_on_other_threads_belong_to_their_request(recorder: Recorder, model: LogisticRegression) -> None:
    """Whether the application hands them to a pool, to the loop's executor or to `to_thread`."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool, recorder.request() as request:
        pool.submit(model.predict, X=ROWS).result()
        await loop.run_in_executor(pool, model.predict, ROWS)
        await asyncio.to_thread(model.predict, ROWS)
        with recorder.provider.get_tracer("tests").start_as_current_span("step") as step:
            await loop.run_in_executor(pool, model.predict, ROWS)
        assert pool.submit(lambda: 7).result() == 7
    parents = [span.parent for span in recorder.model_spans()]
    assert parents == [request.get_span_context()] * 3 + [step.get_span_context()]
    assert recorder.server_attributes() == {"ml.model.name": "LogisticRegression"}


async def test_requests_side_by_side_keep_their_calls_apart(recorder: Recorder, model: LogisticRegression) -> None:
    """Each call lies in the request that asked for it, and has no other call for its parent."""

    async def handle() -> int:
        with recorder.request() as request:
            await asyncio.gather(*(asyncio.to_thread(model.predict, ROWS) for _ in range(3)))
            return request.get_span_context().span_id

    ids = await asyncio.gather(*(handle() for _ in range(5)))
    parents = [span.parent.span_id if span.parent else None for span in recorder.model_spans()]
    assert sorted(map(str, parents)) == sorted(str(one) for one in ids for _ in range(3))


class Custom(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator of the application."""

    def __init__(self, shift: float = 1.0) -> None:
        self.shift = shift

    def fit(self, X: Any, y: Any) -> Custom:  # noqa: N803
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        return np.full(len(X), self.mean_ + self.shift)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_models_and_their_methods_can_be_pickled(recorder: Recorder, dumps: Callable[[Any], bytes]) -> None:
    """As joblib does it for worker processes; also in a request, after calls."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS)
    with recorder.request():
        before = pipeline.predict_proba(ROWS)
        again, method = pickle.loads(dumps(pipeline)), pickle.loads(dumps(pipeline.predict_proba))
        assert np.array_equal(before, again.predict_proba(ROWS))
        assert np.array_equal(before, method(ROWS))
    assert b"modelwatch" not in dumps(pipeline)
    assert len(recorder.model_spans()) == 3


def test_a_class_can_be_pickled_by_value(recorder: Recorder) -> None:
    """As it is for a class of a notebook, whose wrapped methods travel with it."""
    namespace: dict[str, Any] = {"BaseEstimator": BaseEstimator, "__name__": "__main__"}
    exec("class Local(BaseEstimator):\n  def predict(self, X):\n    return [len(X)]", namespace)
    local = pickle.loads(cloudpickle.dumps(namespace["Local"]()))
    with recorder.request():
        assert local.predict([1, 2]) == [2]
    assert recorder.the_model_span().name == "predict Local"


def test_models_can_be_cloned_copied_and_looked_into(model: LogisticRegression) -> None:
    """Parameters, signatures and conditional methods are as scikit-learn made them."""
    assert clone(Custom(3.0)).get_params() == {"shift": 3.0}
    assert copy.deepcopy(model).predict(ROWS[:1]) == model.predict(ROWS[:1])
    assert list(inspect.signature(LogisticRegression.predict).parameters) == ["self", "X"]
    assert "Predict" in (LogisticRegression.predict.__doc__ or "")
    regression = make_pipeline(StandardScaler(), LinearRegression())
    assert hasattr(regression, "predict")
    assert not hasattr(regression, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba"):
        _ = regression.predict_proba


def test_uninstrumenting_puts_everything_back(recorder: Recorder, model: LogisticRegression) -> None:
    """The classes are scikit-learn's own again, also those that are made afterwards."""
    SklearnInstrumentor().uninstrument()
    try:
        assert not hasattr(LogisticRegression.predict_proba, "__wrapped__")
        assert "__init_subclass__" not in vars(BaseEstimator)

        class Late(Custom):
            """Made after the end."""

            def predict(self, X: Any) -> Any:  # noqa: N803
                return super().predict(X)

        with recorder.request():
            model.predict(ROWS)
            Late().fit(ROWS, LABELS).predict(ROWS)
        assert recorder.model_spans() == []
    finally:
        SklearnInstrumentor().instrument(skip_dep_check=True)
    with recorder.request():
        model.predict(ROWS)
    assert recorder.the_model_span()


def test_a_model_is_called_what_its_owner_says(make_recorder: MakeRecorder) -> None:
    """`name_model` counts over the object's attributes, those over the process's name, and that over the class."""
    carrying, plain = Custom().fit(ROWS, LABELS), Custom().fit(ROWS, LABELS)
    carrying.ml_model_name, carrying.ml_model_version = "carried", 3
    named = pickle.loads(pickle.dumps(carrying))
    name_model(named, "named", "4")
    inside = make_pipeline(StandardScaler(), carrying).fit(ROWS, LABELS)
    recorder = make_recorder({"ml.model.name": "process", "ml.model.version": "9"})
    with recorder.request():
        for one in (named, carrying, pickle.loads(pickle.dumps(carrying)), inside, plain):
            one.predict(ROWS)
    found = [
        (attributes(span)["ml.model.name"], attributes(span)["ml.model.version"]) for span in recorder.model_spans()
    ]
    assert found == [("named", "4"), ("carried", "3"), ("carried", "3"), ("carried", "3"), ("process", "9")]


def test_a_model_that_is_gone_is_forgotten(recorder: Recorder) -> None:
    """Knowing a model's name keeps no model in memory, and gives its name to no other."""
    for number in range(50):
        one = Custom().fit(ROWS, LABELS)
        name_model(one, f"model-{number}")
        gone = weakref.ref(one)
        with recorder.request():
            one.predict(ROWS)
        del one
        gc.collect()
        assert gone() is None
    other = Custom().fit(ROWS, LABELS)
    with recorder.request():
        other.predict(ROWS)
    assert [attributes(span)["ml.model.name"] for span in recorder.model_spans()][-2:] == ["model-49", "Custom"]


def test_a_description_that_fails_costs_the_span_and_nothing_else(recorder: Recorder) -> None:
    """Whatever goes wrong in the recording, the call is made."""

    def broken(_: Any) -> tuple[object, object]:
        raise RuntimeError("no metadata today")

    library = Library(Framework("x", ()), lambda *_: {}, broken)
    with recorder.request():
        assert open_span(library, object(), "predict", ([1],), {}) is None
    assert [span.kind for span in recorder.spans()] == [SpanKind.SERVER]

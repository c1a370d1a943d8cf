"""`model_span`, for every model that no instrumentor knows, and the model of a request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from sklearn.linear_model import LinearRegression

from modelwatch_instrumentation import model_span, name_model
from modelwatch_instrumentation.models import requests
from modelwatch_instrumentation.models.span import ModelSpan
from tests.instrumentation.models.conftest import Recorder, attributes


class WrongInputError(ValueError):
    """What a model of the application raises."""


def test_a_block_is_one_span(recorder: Recorder) -> None:
    """With what it was told before and during the call; it is the current span meanwhile."""
    with recorder.request(), model_span("fraud", version="3", batch_size=32, framework="rules") as span:
        assert trace.get_current_span() is span.span
        span.set_output("yes", 0.9)
        span.set_attribute("tenant", "north")
    recorded = recorder.the_model_span()
    assert recorded.name == "predict fraud"
    assert attributes(recorded) == {
        "ml.model.name": "fraud",
        "ml.model.version": "3",
        "ml.operation.name": "predict",
        "ml.batch.size": 32,
        "ml.framework.name": "rules",
        "ml.output.class": "yes",
        "ml.output.probability": 0.9,
        "tenant": "north",
    }


def test_it_records_by_itself_as_well(recorder: Recorder) -> None:
    """Who writes it into a batch job wants it recorded there."""
    with model_span("fraud") as span:
        span.set_batch_size(1000)
    assert recorder.the_model_span().parent is None
    assert attributes(recorder.the_model_span())["ml.batch.size"] == 1000


class Hostile:
    """Fails whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError

    @property
    def size(self) -> int:
        raise RuntimeError


WRONG: list[dict[str, Any]] = [
    {"version": 3},
    {"version": Hostile(), "operation": None, "framework": Hostile()},
    {"batch_size": Hostile()},
    {"inputs": ["a", "b"]},
    {"inputs": {"a": Hostile()}},
]


@pytest.mark.parametrize("wrong", WRONG, ids=["version", "three", "batch-size", "list-of-inputs", "hostile-input"])
def test_wrong_arguments_never_reach_the_application(recorder: Recorder, wrong: dict[str, Any]) -> None:
    """The call goes on, and its span has what was right; names are texts, and short."""
    with model_span("x" * 1000, **wrong) as span:
        span.set_output(Hostile(), Hostile())
        span.set_batch_size(Hostile())  # type: ignore[arg-type]
        span.set_attribute("hostile", Hostile())
        span.set_attribute("score", np.float32(0.5))
    recorded = attributes(recorder.the_model_span())
    assert recorded["ml.model.name"] == "x" * 256
    assert isinstance(recorded.get("ml.model.version", ""), str)
    assert recorded["score"] == 0.5
    assert "hostile" not in recorded


def test_the_size_of_a_batch_may_be_an_arrays(recorder: Recorder) -> None:
    """NumPy's integers are integers."""
    with model_span("fraud") as span:
        span.set_batch_size(np.int64(3))
    assert attributes(recorder.the_model_span())["ml.batch.size"] == 3


def test_a_decorator_in_the_wrong_place_is_an_error_where_it_stands() -> None:
    """Without a name it would take the function's place, and the model would never be asked."""
    with pytest.raises(TypeError, match="needs a name"):
        model_span(len)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="above"):
        model_span("fraud")(staticmethod(len))


def test_what_cannot_be_named_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A dict of weights is no reason for a model server not to start."""
    name_model({"weights": [1, 2]}, "fraud")
    assert caplog.messages == ["a dict cannot be named: it allows no weak references"]


def test_an_exception_without_a_text_passes_and_is_recorded(recorder: Recorder) -> None:
    """The application gets its own exception, not one of ours."""

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(UnprintableError), model_span("fraud"):
        raise UnprintableError
    assert recorder.the_model_span().status.status_code is StatusCode.ERROR


def test_a_failure_passes_and_is_recorded(recorder: Recorder) -> None:
    """The exception's type and event are on the span; the application gets the exception itself."""
    error = WrongInputError("negative amount")
    with pytest.raises(WrongInputError) as raised, model_span("fraud"):
        raise error
    assert raised.value is error
    span = recorder.the_model_span()
    assert span.status.status_code is StatusCode.ERROR
    assert str(attributes(span)["error.type"]).endswith("WrongInputError")
    assert [event.name for event in span.events] == ["exception"]


async def test_functions_and_coroutines_can_be_decorated(recorder: Recorder) -> None:
    """Each call is a span, also of those that run side by side."""

    @model_span("plain", version="1")
    def double(value: int) -> int:
        """Double it."""
        return 2 * value

    @model_span("async")
    async def triple(value: int) -> int:
        await asyncio.sleep(0.001)
        return 3 * value

    assert double(2) == 4
    assert (double.__name__, double.__doc__) == ("double", "Double it.")
    assert await asyncio.gather(*(triple(value) for value in range(8))) == [3 * value for value in range(8)]
    async with model_span("block"):
        await triple(1)
    names = [span.name for span in recorder.model_spans()]
    assert names == ["predict plain"] + ["predict async"] * 9 + ["predict block"]
    assert sum(span.parent is None for span in recorder.model_spans()) == 10


def test_a_generator_is_refused_when_it_is_decorated(recorder: Recorder) -> None:
    """Its call ends before its work begins, so the span would tell a lie."""
    with pytest.raises(TypeError, match="within it"):

        @model_span("stream")
        def stream() -> Iterator[int]:
            yield 1


def test_one_object_may_be_in_use_by_several_threads(recorder: Recorder) -> None:
    """Each block ends the span that it has opened, in whatever order they end."""
    shared, barrier = model_span("shared"), threading.Barrier(4)
    opened: list[tuple[int, ModelSpan]] = []

    def work(number: int) -> None:
        with shared as span:
            opened.append((number, span))
            barrier.wait(20)
            span.set_attribute("number", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(str(attributes(span)["number"])) for span in recorder.model_spans()) == [0, 1, 2, 3]
    assert not trace.get_current_span().is_recording()


def test_a_librarys_call_within_is_part_of_it(recorder: Recorder) -> None:
    """`model_span` around a scikit-learn model is one span; a `model_span` within another is a second."""
    regression = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    with recorder.request(), model_span("ensemble"):
        regression.predict([[3.0]])
        with model_span("member"):
            regression.predict([[3.0]])
    assert [span.name for span in recorder.model_spans()] == ["predict member", "predict ensemble"]
    assert recorder.server_attributes() == {"ml.model.name": "ensemble"}


def test_a_generative_model_has_the_names_of_the_conventions(recorder: Recorder) -> None:
    """With a provider the attributes are those of `gen_ai.*`."""
    with recorder.request(), model_span("llama-4", operation="chat", provider="ollama", batch_size=None) as span:
        span.set_attribute("gen_ai.usage.output_tokens", 12)
    (recorded,) = (span for span in recorder.spans() if span.kind is SpanKind.INTERNAL)
    assert recorded.name == "chat llama-4"
    assert attributes(recorded) == {
        "gen_ai.request.model": "llama-4",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ollama",
        "gen_ai.usage.output_tokens": 12,
    }
    assert recorder.server_attributes() == {"ml.model.name": "llama-4"}


def test_a_request_carries_the_one_model_that_it_used(recorder: Recorder) -> None:
    """Used twice and within other steps it is still one; two models are none; the application's own word stays."""
    tracer = recorder.provider.get_tracer("tests")
    with recorder.request(), tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        for _ in range(2):
            with model_span("fraud", version="3"):
                pass
    with recorder.request(), model_span("fraud", version="3"):
        pass
    with recorder.request():
        for version in ("3", "4"):
            with model_span("fraud", version=version):
                pass
    with recorder.request() as request, model_span("fraud"):
        request.set_attribute("ml.model.name", "mine")
    with recorder.request():
        pass
    servers = [attributes(span) for span in recorder.spans() if span.kind is SpanKind.SERVER]
    one = {"ml.model.name": "fraud", "ml.model.version": "3"}
    assert servers == [one, one, {}, {"ml.model.name": "mine"}, {}]


def test_the_spans_of_one_request_are_bounded(recorder: Recorder) -> None:
    """What is beyond is counted on the request, which has its model all the same; other requests are not concerned."""
    for calls in (requests.MAX_SPANS + 5, requests.MAX_SPANS):
        with recorder.request():
            for _ in range(calls):
                with model_span("fraud"):
                    pass
    servers = [attributes(span) for span in recorder.spans() if span.kind is SpanKind.SERVER]
    model = {"ml.model.name": "fraud"}
    assert servers == [model | {"modelwatch.model_spans.left_out": 5}, model]
    assert len(recorder.model_spans()) == 2 * requests.MAX_SPANS


@pytest.mark.parametrize("shown", [{}, {"OTEL_PYTHON_MODEL_SPANS_REDACT": "amount"}])
def test_passed_inputs_are_kept_but_for_redacted_ones(
    make_recorder: Callable[..., Recorder], shown: dict[str, str]
) -> None:
    """Passing them is asking for them; the redaction list holds for them too."""
    recorder = make_recorder(**shown)
    with model_span("fraud", inputs={"amount": 12.5, "card_token": "4000", "rows": [1, 2]}):
        pass
    found = {key: value for key, value in attributes(recorder.the_model_span()).items() if "input" in key}
    assert found == {
        "ml.input.amount": "[redacted]" if shown else 12.5,
        "ml.input.card_token": "[redacted]",
    }


def test_without_an_sdk_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's calls work the same where OpenTelemetry is not set up."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    with model_span("fraud", batch_size=3) as span:
        span.set_output(1)
        span.set_batch_size(4)
        assert not span.span.is_recording()

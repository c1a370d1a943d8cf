"""Model spans in this process: an SDK that keeps what it is given, and the instrumentors for as long as the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, SpanKind

from modelwatch_instrumentation.models.executors import ExecutorsInstrumentor
from modelwatch_instrumentation.models.lightgbm import LightGBMInstrumentor
from modelwatch_instrumentation.models.onnxruntime import OnnxRuntimeInstrumentor
from modelwatch_instrumentation.models.requests import complete_requests
from modelwatch_instrumentation.models.settings import settings
from modelwatch_instrumentation.models.sklearn import SklearnInstrumentor
from modelwatch_instrumentation.models.xgboost import XGBoostInstrumentor

INSTRUMENTORS = (
    SklearnInstrumentor,
    XGBoostInstrumentor,
    LightGBMInstrumentor,
    OnnxRuntimeInstrumentor,
    ExecutorsInstrumentor,
)


class Recorder:
    """The spans that ended, and requests to record them in."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, resource=Resource(resource))
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        complete_requests(self.provider)  # as each instrumentor does when the process starts

    def request(self) -> AbstractContextManager[Span]:
        """Return a SERVER span to work in."""
        return self.provider.get_tracer("tests").start_as_current_span("request", kind=SpanKind.SERVER)

    def spans(self) -> list[ReadableSpan]:
        """Return every span that ended, in that order."""
        return list(self._exporter.get_finished_spans())

    def model_spans(self) -> list[ReadableSpan]:
        """Return those of models."""
        return [span for span in self.spans() if span.kind is SpanKind.INTERNAL and "ml.model.name" in attributes(span)]

    def the_model_span(self) -> ReadableSpan:
        """Return the one span of a model that there is."""
        (span,) = self.model_spans()
        return span

    def server_attributes(self) -> dict[str, Any]:
        """Return the attributes of the one request."""
        (span,) = (span for span in self.spans() if span.kind is SpanKind.SERVER)
        return attributes(span)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture(scope="package", autouse=True)
def _instrumented() -> Iterator[None]:
    instrumentors = [instrumentor() for instrumentor in INSTRUMENTORS]
    for instrumentor in instrumentors:
        instrumentor.instrument(skip_dep_check=True)
    yield
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


@pytest.fixture
def make_recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Recorder]]:
    """Make an SDK the process's own, under settings from an environment, for one test."""

    def make(resource: dict[str, Any] | None = None, **environ: str) -> Recorder:
        recorder = Recorder(resource or {})
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", recorder.provider)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        return recorder

    yield make
    settings.cache_clear()


@pytest.fixture
def recorder(make_recorder: Callable[..., Recorder]) -> Recorder:
    """An SDK with the defaults."""
    return make_recorder()

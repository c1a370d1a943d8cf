"""Model spans of a real model API under `opentelemetry-instrument`, with nothing but its environment."""

from __future__ import annotations

import json

from tests.instrumentation.conftest import sink as sink
from tests.support.otlp_sink import Sink
from tests.support.watched_app import watched


def test_a_model_api_has_model_spans_in_its_requests(sink: Sink) -> None:
    """One for each prediction, however it was run; the request carries the model, and fails as the call does."""
    paths = ["/direct/3.0", "/threaded/3.0", "/executor/3.0"]
    with watched("model_app", sink.urls["grpc"], None, MODEL_NAME="fraud", MODEL_VERSION="7") as app:
        assert json.loads(app.get("/loaded")) == []
        traces = [app.request("GET", path) for path in paths]
        broken, status = app.request("GET", "/wrong")
        app.stop()
        spans = sink.spans(app.service)
    assert ([status for _, status in traces], status) == ([200] * 3, 500)
    for trace_id in [*(trace_id for trace_id, _ in traces), broken]:
        server, model = sorted(
            (span for span in spans if span.trace_id == trace_id), key=lambda span: span.kind != "SERVER"
        )
        assert (server.kind, model.kind, model.name) == ("SERVER", "INTERNAL", "predict fraud")
        for span in (server, model):
            assert (span.attributes["ml.model.name"], span.attributes["ml.model.version"]) == ("fraud", "7")
            assert span.status == ("ERROR" if trace_id == broken else "UNSET")
        assert model.attributes["ml.batch.size"] == 1


def test_one_variable_switches_one_library_off(sink: Sink) -> None:
    """The request stays."""
    with watched(
        "model_app", sink.urls["grpc"], None, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="modelwatch_sklearn"
    ) as app:
        app.request("GET", "/direct/3.0")
        app.stop()
        assert [span.kind for span in sink.spans(app.service)] == ["SERVER"]

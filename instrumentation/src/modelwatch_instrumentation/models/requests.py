"""The model of a request: a SERVER span carries name and version of the model if the request used exactly one.

So rate, errors and durations of requests can be told apart by model. It is set as the request ends: only then is it
known how many models it used, and an attribute cannot be taken back.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.trace import SpanKind

from modelwatch_instrumentation.models import schema
from modelwatch_instrumentation.models.naming import Description

_SERVER: Final = "_modelwatch_server"
_MODELS: Final = "_modelwatch_models"
_COUNT: Final = "_modelwatch_model_spans"
MAX_SPANS: Final = 64
"""Model spans of one request. One that asks a model a thousand times, such as to explain a prediction, must not push
the spans of other requests out of the exporter's queue."""
MAX_MODELS: Final = 2
"""More need not be remembered to know that it was not one."""


class ServerModels(SpanProcessor):
    """Links each INTERNAL span to the SERVER span that it lies in."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Let a span know its request, however many spans lie between."""
        if span.kind is SpanKind.INTERNAL:
            server = _server_of(trace.get_current_span(parent_context))
            if server is not None:
                setattr(span, _SERVER, server)


def note_model(parent: trace.Span, description: Description) -> None:
    """Remember that the request around `parent` used a model."""
    known = _request_of(parent)
    if known is not None:
        models: dict[tuple[str, str | None], None] = known.setdefault(_MODELS, {})
        if len(models) < MAX_MODELS:
            models[description.name, description.version] = None


def has_room(parent: trace.Span) -> bool:
    """Count one more model span for the request around `parent`; False if it has its `MAX_SPANS` already."""
    known = _request_of(parent)
    if known is None:
        return True
    known[_COUNT] = count = known.get(_COUNT, 0) + 1
    return bool(count <= MAX_SPANS)


def _request_of(span: trace.Span) -> dict[str, Any] | None:
    """Return what is remembered of the request around a span, with its end in our hands; None if there is none."""
    server = _server_of(span)
    if server is None or not server.is_recording():
        return None
    known: dict[str, Any] = vars(server)
    known.setdefault("end", partial(_end, server))
    return known


def _end(server: Any, end_time: int | None = None) -> None:
    """End a SERVER span in place of its own method, which is had back; after it a span takes no attribute any more."""
    known = vars(server)
    known.pop("end", None)
    models, left_out = known.pop(_MODELS, {}), known.pop(_COUNT, 0) - MAX_SPANS
    if len(models) == 1 and schema.MODEL_NAME not in (server.attributes or {}):
        (name, version), *_ = models
        server.set_attribute(schema.MODEL_NAME, name)
        if version is not None:
            server.set_attribute(schema.MODEL_VERSION, version)
    if left_out > 0:
        server.set_attribute(schema.LEFT_OUT, left_out)
    server.end(end_time)


@cache
def complete_requests(provider: trace.TracerProvider) -> None:
    """Have the SERVER spans of a provider completed, once; one that belongs to no SDK is left alone."""
    add_span_processor = getattr(provider, "add_span_processor", None)
    if add_span_processor is not None:
        add_span_processor(ServerModels())


def _server_of(span: Any) -> Any:
    return span if getattr(span, "kind", None) is SpanKind.SERVER else getattr(span, _SERVER, None)

"""The model of a request: a SERVER span carries name and version of the model if the request used exactly one.

So rate, errors and durations of requests can be told apart by model. A span processor, because only at the end of the
request is it known how many models it used, and a span's attribute cannot be taken back.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.trace import SpanKind

from modelwatch_instrumentation.models import schema
from modelwatch_instrumentation.models.naming import Description

_SERVER: Final = "_modelwatch_server"
_MODELS: Final = "_modelwatch_models"
MAX_MODELS: Final = 2
"""More need not be remembered to know that it was not one."""


class ServerModels(SpanProcessor):
    """Links each INTERNAL span to the SERVER span that it lies in, and completes SERVER spans as they end."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Let a span know its request, however many spans lie between."""
        if span.kind is SpanKind.INTERNAL:
            server = _server_of(trace.get_current_span(parent_context))
            if server is not None:
                setattr(span, _SERVER, server)

    def _on_ending(self, span: Span) -> None:
        models = getattr(span, _MODELS, None)
        if models is None or len(models) != 1 or schema.MODEL_NAME in (span.attributes or {}):
            return
        (name, version), *_ = models
        span.set_attribute(schema.MODEL_NAME, name)
        if version is not None:
            span.set_attribute(schema.MODEL_VERSION, version)


def note_model(parent: trace.Span, description: Description) -> None:
    """Remember that the request around `parent` used a model."""
    server = _server_of(parent)
    if server is None:
        return
    models: dict[tuple[str, str | None], None] = vars(server).setdefault(_MODELS, {})
    if len(models) < MAX_MODELS:
        models[description.name, description.version] = None


@cache
def complete_requests(provider: trace.TracerProvider) -> None:
    """Have the SERVER spans of a provider completed, once; one that belongs to no SDK is left alone."""
    add_span_processor = getattr(provider, "add_span_processor", None)
    if add_span_processor is not None:
        add_span_processor(ServerModels())


def _server_of(span: Any) -> Any:
    return span if getattr(span, "kind", None) is SpanKind.SERVER else getattr(span, _SERVER, None)

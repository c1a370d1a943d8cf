"""A model span: opened around an inference call, by hand with `model_span` or by the wrapped methods of a library."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextvars import Token
from functools import cache, wraps
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, Tracer, TracerProvider

from modelwatch_instrumentation.errors import mark_failed, record_exception
from modelwatch_instrumentation.models import schema
from modelwatch_instrumentation.models.capture import (
    Scalar,
    input_attributes,
    label_of,
    output_attributes,
    scalar_of,
)
from modelwatch_instrumentation.models.naming import Description
from modelwatch_instrumentation.models.requests import complete_requests, has_room, note_model
from modelwatch_instrumentation.models.settings import Mode, settings

IN_MODEL_CALL: Final = "modelwatch.in_model_call"
"""The key in OpenTelemetry's context by which calls within a call are known; it goes wherever the context goes."""

Function = TypeVar("Function", bound=Callable[..., Any])


class ModelSpan:
    """The span of one inference call; does nothing, cheaply, where nothing is recorded."""

    __slots__ = ("_attributes", "_description", "_operation", "_span", "_token", "is_single_row")

    def __init__(
        self, description: Description, operation: str, attributes: dict[str, Scalar], *, is_single_row: bool = False
    ) -> None:
        self.is_single_row = is_single_row
        self._description = description
        self._operation = operation
        self._attributes = attributes
        self._span: Span = trace.INVALID_SPAN
        self._token: Token[otel_context.Context] | None = None

    @property
    def span(self) -> Span:
        """OpenTelemetry's own span, for everything else that it can do."""
        return self._span

    def set_attribute(self, name: str, value: Any) -> None:
        """Set any attribute, such as `gen_ai.usage.input_tokens`; what is no value for one is left out."""
        kept = value if isinstance(value, (str, bool, int, float, list, tuple)) else scalar_of(value)
        if kept is not None:
            self._span.set_attribute(name, kept)

    def set_batch_size(self, rows: int) -> None:
        """Set the number of inputs of this call, if it was not known before."""
        if (kept := scalar_of(rows)) is not None:
            self._span.set_attribute(schema.BATCH_SIZE, kept)

    def set_output(self, value: Any, probability: float | None = None, *, is_class: bool | None = None) -> None:
        """Record one output: fractions are values, all else is a class, unless `is_class` says otherwise."""
        self._span.set_attributes(output_attributes(value, probability, is_class=is_class))

    def open(self) -> None:
        """Start the span within the current one and make it the current one."""
        provider = trace.get_tracer_provider()
        complete_requests(provider)
        outer = trace.get_current_span()
        name = f"{self._operation} {self._description.name}"
        self._span = _tracer(provider).start_span(name, attributes=self._attributes)
        if not otel_context.get_value(IN_MODEL_CALL):
            note_model(outer, self._description)
        inner = otel_context.set_value(IN_MODEL_CALL, self, trace.set_span_in_context(self._span))
        self._token = otel_context.attach(inner)

    def close(self, error: BaseException | None = None) -> None:
        """Leave the span and end it, as a failed one if there was an error."""
        if self.leave():
            self.end(error)

    def leave(self) -> bool:
        """Make the outer span the current one again; False if that was done already."""
        token, self._token = self._token, None
        if token is not None:
            otel_context.detach(token)
        return token is not None

    def end(self, error: BaseException | None = None) -> None:
        """End the span, as a failed one if there was an error; may be called on another thread."""
        if error is not None and self._span.is_recording():
            record_exception(self._span, error)
            mark_failed(self._span, error)
        self._span.end()


class model_span:  # noqa: N801  (a context manager, as `open` is; reads as a function where it is used)
    """Record the block, or each call of the decorated function, as one inference call of a model.

        with model_span("fraud", version="3", batch_size=len(rows)) as span:
            scores = model(rows)
            span.set_output(scores[0])

    `with` and `async with` are the same; functions and coroutine functions can be decorated. `inputs` are the fields
    worth keeping with the span: only what is passed here is kept, at most 32 of 256 characters, those with telling
    names redacted. With `provider` (such as "openai") it is a generative model, under the names of `gen_ai.*`.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str | None = None,
        operation: str = "predict",
        batch_size: int | None = None,
        framework: str | None = None,
        provider: str | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        if callable(name):
            raise TypeError('the model needs a name: @model_span("name")')
        self._description = Description(label_of(name), None if version is None else label_of(version))
        self._operation = label_of(operation)
        self._batch_size = batch_size
        self._framework = None if framework is None else label_of(framework)
        self._provider = None if provider is None else label_of(provider)
        self._inputs = inputs
        self._opened: list[ModelSpan] = []
        self._left_out = 0

    def __enter__(self) -> ModelSpan:
        if not is_wanted(is_explicit=True):
            self._left_out += 1
            return _nothing()
        opened = ModelSpan(self._description, self._operation, self._all_attributes())
        opened.open()
        self._opened.append(opened)
        return opened

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        opened = self._innermost()
        if opened is not None:
            self._opened.remove(opened)
            opened.close(error)

    async def __aenter__(self) -> ModelSpan:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Function) -> Function:
        if isinstance(function, (staticmethod, classmethod)):
            raise TypeError("put @staticmethod or @classmethod above @model_span(...)")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: use `with model_span(...)` within it")
        decorated: Any
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def decorated(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return await function(*args, **kwargs)
        else:

            @wraps(function)
            def decorated(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return function(*args, **kwargs)

        return decorated  # type: ignore[no-any-return]

    def _again(self) -> Self:
        """Return the same for another call, which may run beside this one."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _opened=[], _left_out=0)
        return twin

    def _innermost(self) -> ModelSpan | None:
        """Return the span that the block which ends here has opened; one object may be in use by several threads."""
        current = otel_context.get_value(IN_MODEL_CALL)
        for opened in self._opened:
            if opened is current:
                return opened
        if self._left_out:
            self._left_out -= 1
            return None
        return self._opened[-1] if self._opened else None  # the block began in another context, as generators may

    def _all_attributes(self) -> dict[str, Scalar]:
        attributes = call_attributes(self._description, self._operation, self._batch_size)
        if self._provider is not None:
            del attributes[schema.MODEL_NAME], attributes[schema.OPERATION_NAME]
            attributes[schema.GEN_AI_MODEL] = self._description.name
            attributes[schema.GEN_AI_OPERATION] = self._operation
            attributes[schema.GEN_AI_PROVIDER] = self._provider
        if self._framework is not None:
            attributes[schema.FRAMEWORK_NAME] = self._framework
        if isinstance(self._inputs, Mapping):
            attributes |= input_attributes(self._inputs, settings().redacted)
        return attributes


def call_attributes(description: Description, operation: str, batch_size: int | None) -> dict[str, Scalar]:
    """Return the attributes that are known before the call."""
    attributes: dict[str, Scalar] = {schema.MODEL_NAME: description.name, schema.OPERATION_NAME: operation}
    if description.version is not None:
        attributes[schema.MODEL_VERSION] = description.version
    if (rows := scalar_of(batch_size)) is not None:
        attributes[schema.BATCH_SIZE] = rows
    return attributes | description.attributes


def is_wanted(*, is_explicit: bool) -> bool:
    """Tell whether a call that begins now is to be recorded.

    Within a trace, if the trace is recorded; by itself, if the application says `model_span` or the setting "always".
    A library's call within another is part of it; what a sampler left out stays out.
    """
    mode = settings().mode
    if mode is Mode.OFF:
        return False
    current = trace.get_current_span()
    is_recorded = current.is_recording()
    if not is_recorded:
        within = current.get_span_context()
        if within.is_valid and not within.is_remote:
            return False
        if not is_explicit and mode is not Mode.ALWAYS:
            return False
    if not is_explicit and otel_context.get_value(IN_MODEL_CALL):
        return False
    return not is_recorded or has_room(current)


@cache
def _tracer(provider: TracerProvider) -> Tracer:
    try:
        own_version = version("modelwatch-instrumentation")
    except PackageNotFoundError:
        own_version = ""
    return provider.get_tracer(schema.SCOPE, own_version, attributes={schema.SCHEMA_VERSION_KEY: schema.SCHEMA_VERSION})


def _nothing() -> ModelSpan:
    return ModelSpan(Description(""), "", {})

"""Recording the calls of wrapped methods: what a library's models have in common.

The wrappers are plain functions, because bound methods of estimators are pickled for worker processes. Whatever goes
wrong in here leaves the call as it would have been.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from types import FunctionType
from typing import Any, Final

from modelwatch_instrumentation.models.capture import Scalar, first_row, input_attributes, row_count
from modelwatch_instrumentation.models.naming import Framework, Metadata, no_metadata, registry
from modelwatch_instrumentation.models.settings import settings
from modelwatch_instrumentation.models.span import ModelSpan, call_attributes, is_wanted

Output = Callable[[Any, str, Any], Mapping[str, Scalar]]
"""Returns the attributes of a result, from the model, the operation and the result; of a single row only."""

_MARK: Final = "_modelwatch_is_recorded"
_ABSENT: Final = object()
_logger = logging.getLogger(__name__)


def first_argument(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the data of a call whose first parameter they are, whatever its name."""
    return args[0] if args else next(iter(kwargs.values()), None)


def feature_names(model: Any) -> Sequence[str] | None:
    """Return the names of the columns that a scikit-learn estimator was fitted with."""
    names: Sequence[str] | None = getattr(model, "feature_names_in_", None)
    return names


@dataclass(frozen=True, slots=True)
class Library:
    """What is particular to the models of one library."""

    framework: Framework
    output: Output
    metadata: Metadata = no_metadata
    data: Callable[[Sequence[Any], Mapping[str, Any]], Any] = first_argument
    rows: Callable[[Any], int | None] = row_count
    names: Callable[[Any], Sequence[str] | None] = feature_names


class RecordedMethods:
    """Methods that were wrapped, and can be had back."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._originals: list[tuple[type, str, Any]] = []

    def add(self, cls: type, names: Iterable[str]) -> None:
        """Record the named methods of a class, where they are defined: in itself or in its nearest base, but once."""
        for name in names:
            owner = next((base for base in cls.__mro__ if name in vars(base)), None)
            if owner is not None:
                self.replace(owner, name, lambda method: recorded(method, self._library))

    def replace(self, owner: type, name: str, wrapper: Callable[[FunctionType], Any]) -> None:
        """Wrap a function in a class; what is neither a function nor scikit-learn's conditional method is left."""
        original = vars(owner)[name]
        inner = getattr(original, "fn", None) if hasattr(original, "check") else original
        if not isinstance(inner, FunctionType) or hasattr(inner, _MARK):
            return
        wrapped: Any = wrapper(inner)
        setattr(wrapped, _MARK, True)
        if inner is not original:
            conditional = copy.copy(original)
            conditional.fn = wrapped
            wrapped = conditional
        self.set(owner, name, wrapped)

    def set(self, owner: type, name: str, value: Any) -> None:
        """Set an attribute of a class until `remove`."""
        self._originals.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)

    def remove(self) -> None:
        """Put back what was replaced."""
        while self._originals:
            owner, name, original = self._originals.pop()
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


def recorded(method: Callable[..., Any], library: Library) -> Callable[..., Any]:
    """Return the method with a span around each call that is to be recorded."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_wanted(is_explicit=False):
            return method(self, *args, **kwargs)
        span = open_span(library, self, method.__name__, args, kwargs)
        if span is None:
            return method(self, *args, **kwargs)
        try:
            result = method(self, *args, **kwargs)
        except BaseException as error:
            span.close(error)
            raise
        keep_output(span, library, self, method.__name__, result)
        span.close()
        return result

    return call


def open_span(
    library: Library, model: Any, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> ModelSpan | None:
    """Open the span of a call; None if that fails."""
    try:
        data = library.data(args, kwargs)
        rows = library.rows(data)
        description = registry().describe(model, library.framework, library.metadata)
        attributes = call_attributes(description, operation, rows)
        wanted = settings()
        if wanted.inputs and rows == 1:
            attributes |= input_attributes(first_row(data, wanted.inputs, library.names(model)), wanted.redacted)
        span = ModelSpan(description, operation, attributes, is_single_row=rows == 1)
        span.open()
        return span
    except Exception:
        _logger.debug("a call of %s is not recorded", operation, exc_info=True)
        return None


def keep_output(span: ModelSpan, library: Library, model: Any, operation: str, result: Any) -> None:
    """Record the output of a single row, if outputs are asked for."""
    if not span.is_single_row or not settings().keeps_output:
        return
    try:
        span.span.set_attributes(dict(library.output(model, operation, result)))
    except Exception:
        _logger.debug("the output of %s is not recorded", operation, exc_info=True)

"""scikit-learn: every estimator, also those of other packages and of the application itself.

Each class is hooked as it is made, through the base class that all estimators have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from types import ModuleType
from typing import Any, Final

from opentelemetry import context as otel_context

from modelwatch_instrumentation.models.calls import Library
from modelwatch_instrumentation.models.capture import Scalar, output_attributes
from modelwatch_instrumentation.models.libraries import LibraryInstrumentor, descendants
from modelwatch_instrumentation.models.naming import Framework
from modelwatch_instrumentation.models.span import IN_MODEL_CALL

METHODS: Final = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples")
_OWN_INSTRUMENTORS: Final = frozenset({"xgboost", "lightgbm"})
_WITHIN: Final = "modelwatch_is_within"


def estimator_output(model: Any, operation: str, result: Any) -> Mapping[str, Scalar]:
    """Return the class or value of a single row, with its probability where the call gives one."""
    first = result[0]
    classes = getattr(model, "classes_", None)
    if operation == "predict":
        return output_attributes(first, is_class=classes is not None)
    if operation == "predict_proba" and classes is not None and len(first) == len(classes):
        best = int(first.argmax())
        return output_attributes(classes[best], first[best], is_class=True)
    return output_attributes(first, is_class=False)


class SklearnInstrumentor(LibraryInstrumentor):
    """Records the inference calls of scikit-learn's estimators; of pipelines also `transform`."""

    library = Library(Framework("scikit-learn", ("scikit-learn",)), estimator_output)

    def hooks(self) -> dict[str, Callable[[ModuleType], None]]:
        """Return the hooks of the base class, and of scikit-learn's workers."""
        return {"sklearn.base": self._hook_classes, "sklearn.utils.parallel": self._hook_workers}

    def _hook_classes(self, module: ModuleType) -> None:
        base: type = module.BaseEstimator
        self.methods.set(base, "__init_subclass__", classmethod(_subclass_recorder(base, self._record)))
        for cls in descendants(base):
            self._record(cls)

    def _record(self, cls: type) -> None:
        if self.is_active and not any(_has_own_instrumentor(ancestor) for ancestor in cls.__mro__):
            self.methods.add(cls, (*METHODS, "transform") if any(map(_is_pipeline, cls.__mro__)) else METHODS)

    def _hook_workers(self, module: ModuleType) -> None:
        """Let joblib's threads and processes know that they work within a call: an estimator's parts are no models."""
        workers, task = getattr(module, "Parallel", None), getattr(module, "_FuncWrapper", None)
        if workers is not None and task is not None:
            self.methods.replace(workers, "__call__", _marking)
            self.methods.replace(task, "__call__", _within)


def _subclass_recorder(base: type, record: Callable[[type], None]) -> Callable[..., None]:
    """Return an `__init_subclass__` that does what the one before did, and then records the new class."""
    original, of_base = vars(base).get("__init_subclass__"), partial(super, base)

    def record_subclass(cls: Any, /, **kwargs: Any) -> None:
        before = of_base(cls).__init_subclass__ if original is None else original.__get__(None, cls)
        before(**kwargs)
        record(cls)

    return record_subclass


def _marking(call: Callable[..., Any]) -> Callable[..., Any]:
    """Mark the tasks of a call; joblib asks for most of them later, on threads that know nothing of it."""

    @wraps(call)
    def dispatch(self: Any, iterable: Any, *args: Any, **kwargs: Any) -> Any:
        if otel_context.get_value(IN_MODEL_CALL):
            iterable = map(_marked, iterable)
        return call(self, iterable, *args, **kwargs)

    return dispatch


def _marked(task: Any) -> Any:
    setattr(task[0], _WITHIN, True)
    return task


def _within(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def work(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(self, _WITHIN, False):
            return call(self, *args, **kwargs)
        token = otel_context.attach(otel_context.set_value(IN_MODEL_CALL, True))
        try:
            return call(self, *args, **kwargs)
        finally:
            otel_context.detach(token)

    return work


def _is_pipeline(cls: type) -> bool:
    return cls.__module__ == "sklearn.pipeline" and cls.__name__ == "Pipeline"


def _has_own_instrumentor(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in _OWN_INSTRUMENTORS

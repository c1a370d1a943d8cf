"""ONNX Runtime: the runs of inference sessions, also those that answer by a callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import PurePath
from types import ModuleType
from typing import Any, Final

from modelwatch_instrumentation.models.calls import Library, keep_output, open_span
from modelwatch_instrumentation.models.capture import Scalar, output_attributes, row_count
from modelwatch_instrumentation.models.libraries import LibraryInstrumentor
from modelwatch_instrumentation.models.naming import NAME_ATTRIBUTE, VERSION_ATTRIBUTE, Framework
from modelwatch_instrumentation.models.span import is_wanted

DISTRIBUTIONS: Final = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
_UNTOLD: Final = frozenset({"", "model", "main_graph", "graph", "main"})
"""Names of files and graphs that tools give and that say nothing."""


class OnnxError(RuntimeError):
    """What ONNX Runtime told the callback of `run_async`."""


def session_metadata(session: Any) -> tuple[object, object]:
    """Return the name and version in the model's metadata, else the name of its file, else of its graph."""
    meta = session.get_modelmeta()
    own = meta.custom_metadata_map
    path = getattr(session, "_model_path", None)
    file = PurePath(path).stem if isinstance(path, str) else ""
    names = (own.get(NAME_ATTRIBUTE), file, meta.graph_name)
    version = own.get(VERSION_ATTRIBUTE) or (str(meta.version) if 0 < meta.version < 2**62 else None)
    return next((name for name in names if name and name not in _UNTOLD), None), version


def _data(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("input_feed", kwargs.get("input_dict_ort_values"))


def _rows(feed: Any) -> int | None:
    """Return the first dimension of the inputs, if they agree on it."""
    if not isinstance(feed, Mapping):
        return None
    sizes = {row_count(value) for value in feed.values() if getattr(value, "ndim", 1) > 0} - {None}
    return sizes.pop() if len(sizes) == 1 else None


def _output(_model: Any, _operation: str, result: Any) -> Mapping[str, Scalar]:
    return output_attributes(result[0])


class OnnxRuntimeInstrumentor(LibraryInstrumentor):
    """Records ONNX Runtime's inference calls."""

    library = Library(Framework("onnxruntime", DISTRIBUTIONS), _output, session_metadata, _data, _rows, lambda _: None)

    def hooks(self) -> dict[str, Callable[[ModuleType], None]]:
        """Return the hook of the sessions."""
        return {"onnxruntime.capi.onnxruntime_inference_collection": self._hook_sessions}

    def _hook_sessions(self, module: ModuleType) -> None:
        session = module.InferenceSession
        self.methods.add(session, ("run", "run_with_ort_values", "run_with_iobinding"))
        owner = next((base for base in session.__mro__ if "run_async" in vars(base)), None)
        if owner is not None:
            self.methods.replace(owner, "run_async", lambda method: _recorded_async(method, self.library))


def _recorded_async(method: Callable[..., None], library: Library) -> Callable[..., None]:
    """Return `run_async` with a span that ends when the callback is called, on whatever thread that is."""

    @wraps(method)
    def call(
        self: Any, output_names: Any, input_feed: Any, callback: Any, user_data: Any, *args: Any, **kwargs: Any
    ) -> None:
        asked = (output_names, input_feed)
        span = open_span(library, self, "run_async", asked, {}) if is_wanted(is_explicit=False) else None
        if span is None:
            return method(self, output_names, input_feed, callback, user_data, *args, **kwargs)

        def answer(results: Any, data: Any, error: str) -> None:
            if not error:
                keep_output(span, library, self, "run_async", results)
            span.end(OnnxError(error) if error else None)
            callback(results, data, error)

        try:
            method(self, output_names, input_feed, answer, user_data, *args, **kwargs)
        except BaseException as error:
            span.close(error)
            raise
        span.leave()
        return None

    return call

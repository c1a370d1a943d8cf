"""LightGBM: the scikit-learn interface and the booster beneath it, each call once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from modelwatch_instrumentation.models.calls import Library
from modelwatch_instrumentation.models.capture import Scalar, output_attributes
from modelwatch_instrumentation.models.libraries import LibraryInstrumentor, descendants
from modelwatch_instrumentation.models.naming import Framework
from modelwatch_instrumentation.models.sklearn import estimator_output


def _output(model: Any, operation: str, result: Any) -> Mapping[str, Scalar]:
    if hasattr(model, "get_params"):
        return estimator_output(model, operation, result)
    return output_attributes(result[0], is_class=False)


class LightGBMInstrumentor(LibraryInstrumentor):
    """Records LightGBM's inference calls."""

    library = Library(Framework("lightgbm", ("lightgbm",)), _output)

    def hooks(self) -> dict[str, Callable[[ModuleType], None]]:
        """Return the hooks of both interfaces."""
        return {"lightgbm.basic": self._hook_booster, "lightgbm.sklearn": self._hook_estimators}

    def _hook_booster(self, module: ModuleType) -> None:
        self.methods.add(module.Booster, ("predict",))

    def _hook_estimators(self, module: ModuleType) -> None:
        for cls in descendants(module.LGBMModel):
            self.methods.add(cls, ("predict", "predict_proba", "decision_function"))

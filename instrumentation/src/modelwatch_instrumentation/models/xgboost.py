"""XGBoost: the scikit-learn interface and the booster beneath it, each call once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from modelwatch_instrumentation.models.calls import Library
from modelwatch_instrumentation.models.capture import Scalar, output_attributes
from modelwatch_instrumentation.models.libraries import LibraryInstrumentor, descendants
from modelwatch_instrumentation.models.naming import NAME_ATTRIBUTE, VERSION_ATTRIBUTE, Framework
from modelwatch_instrumentation.models.sklearn import estimator_output

DISTRIBUTIONS = ("xgboost", "xgboost-cpu")


def booster_attributes(model: Any) -> tuple[object, object]:
    """Return what `Booster.set_attr(ml_model_name=..., ml_model_version=...)` has stored in the model's file."""
    booster = getattr(model, "_Booster", model)
    read = getattr(booster, "attr", None)
    return (None, None) if read is None else (read(NAME_ATTRIBUTE), read(VERSION_ATTRIBUTE))


def _output(model: Any, operation: str, result: Any) -> Mapping[str, Scalar]:
    if hasattr(model, "get_xgb_params"):
        return estimator_output(model, operation, result)
    return output_attributes(result[0], is_class=False)


class XGBoostInstrumentor(LibraryInstrumentor):
    """Records XGBoost's inference calls."""

    library = Library(Framework("xgboost", DISTRIBUTIONS), _output, booster_attributes)

    def hooks(self) -> dict[str, Callable[[ModuleType], None]]:
        """Return the hooks of both interfaces."""
        return {"xgboost.core": self._hook_booster, "xgboost.sklearn": self._hook_estimators}

    def _hook_booster(self, module: ModuleType) -> None:
        self.methods.add(module.Booster, ("predict", "inplace_predict"))

    def _hook_estimators(self, module: ModuleType) -> None:
        for cls in descendants(module.XGBModel):
            self.methods.add(cls, ("predict", "predict_proba"))

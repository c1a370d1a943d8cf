"""The attributes of a model span; `docs/model-spans.md` of ModelWatch documents them as a schema with a version.

OpenTelemetry has conventions for generative models (`gen_ai.*`), which are used for those, and none for others yet.
"""

from __future__ import annotations

from typing import Final

from modelwatch_instrumentation.conventions import MODEL_NAME, MODEL_VERSION

__all__ = ["MODEL_NAME", "MODEL_VERSION"]

SCHEMA_VERSION: Final = "1.0.0"
SCHEMA_VERSION_KEY: Final = "modelwatch.model_spans.schema_version"
"""An attribute of the instrumentation scope, so that it is sent once for many spans."""

SCOPE: Final = "modelwatch_instrumentation.models"

MODEL_CLASS: Final = "ml.model.class"
FRAMEWORK_NAME: Final = "ml.framework.name"
FRAMEWORK_VERSION: Final = "ml.framework.version"
OPERATION_NAME: Final = "ml.operation.name"
BATCH_SIZE: Final = "ml.batch.size"
LEFT_OUT: Final = "modelwatch.model_spans.left_out"
"""On a SERVER span: how many model spans its request had too many."""
INPUT_PREFIX: Final = "ml.input."
OUTPUT_CLASS: Final = "ml.output.class"
OUTPUT_VALUE: Final = "ml.output.value"
OUTPUT_PROBABILITY: Final = "ml.output.probability"

GEN_AI_OPERATION: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
GEN_AI_MODEL: Final = "gen_ai.request.model"

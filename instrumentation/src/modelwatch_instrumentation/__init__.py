"""An OpenTelemetry distro for model servers, loaded by `opentelemetry-instrument` through its entry points.

It runs inside the watched process, before the application is imported, and needs nothing but OpenTelemetry's packages.
The distro sets defaults, the configurator builds the SDK, and one instrumentor per library hooks into that library.
"""

from modelwatch_instrumentation.models.naming import name_model
from modelwatch_instrumentation.models.span import model_span

__all__ = ["model_span", "name_model"]

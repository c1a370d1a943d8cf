"""One SERVER span even where another distro was found first: it has loaded the instrumentors that ours supersede.

`opentelemetry-instrument` calls it after all instrumentors. Of several distros the first found wins, and which one that
is depends on the order of folders on the disk; only the variables that the warning names decide it.
"""

from __future__ import annotations

import logging
import os
import sys

from modelwatch_instrumentation.distro import OURS, SUPERSEDED, ModelWatchDistro, disabled_instrumentations

_logger = logging.getLogger(__name__)


def take_over() -> None:
    """Take back what superseded instrumentors have patched, unless ours is disabled, and tell which distro to name."""
    if ModelWatchDistro.is_in_use:
        return
    _logger.warning(
        "another OpenTelemetry distro is in use, and its defaults instead of ModelWatch's; "
        "OTEL_PYTHON_DISTRO=modelwatch OTEL_PYTHON_CONFIGURATOR=modelwatch chooses ours"
    )
    if not {OURS, "*"} & disabled_instrumentations(os.environ):
        for name in SUPERSEDED:
            _uninstrument(name)


def _uninstrument(name: str) -> None:
    module = sys.modules.get(f"opentelemetry.instrumentation.{name}")
    instrumentor = getattr(module, f"{_CLASSES[name]}Instrumentor", None)
    if instrumentor is not None and instrumentor().is_instrumented_by_opentelemetry:
        instrumentor().uninstrument()


_CLASSES = {"fastapi": "FastAPI", "starlette": "Starlette"}

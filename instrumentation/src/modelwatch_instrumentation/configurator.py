"""The configurator: OpenTelemetry's own SDK set-up, with span export that cannot hold up the end of a process.

It runs after the distro has set its defaults and before the instrumentors are loaded.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

from modelwatch_instrumentation.export import BoundedSpanProcessor, shut_down_in_forked_children

DISTRO_NAME = "modelwatch-instrumentation"


class ModelWatchConfigurator(_OTelSDKConfigurator):
    """Builds the SDK from the environment; `telemetry.distro.*` in the resource tells who did it."""

    def _configure(self, **kwargs: Any) -> None:
        distro = {"telemetry.distro.name": DISTRO_NAME, "telemetry.distro.version": version(DISTRO_NAME)}
        kwargs["resource_attributes"] = distro | dict(kwargs.get("resource_attributes") or {})
        kwargs.setdefault("export_span_processor", BoundedSpanProcessor)
        super()._configure(**kwargs)  # type: ignore[no-untyped-call]
        shut_down_in_forked_children(trace.get_tracer_provider())

"""The distro: defaults that the user's own environment always overrides, and no second instrumentor for one request.

`opentelemetry-instrument` loads it first, before the configurator reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]

from modelwatch_instrumentation.flask import name_unmatched

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

OURS = "modelwatch_starlette"
"""The entry point that traces Starlette and FastAPI applications."""

SUPERSEDED = frozenset({"fastapi", "starlette"})
"""Entry points of instrumentors that would trace the same requests again."""

PROBES = (
    r"^[a-z]+://[^/]*/(healthz?|healthcheck|livez?|liveness|readyz?|readiness|startupz?|ping|metrics)/?(\?.*)?$",
    r"^[a-z]+://[^/]*/(v2/)?health/",
)
"""URLs that orchestrators and scrapers ask for, as OTEL_PYTHON_EXCLUDED_URLS takes them: searched for in whole URLs."""

MAY_BE_EMPTY = frozenset({"OTEL_PYTHON_EXCLUDED_URLS", "OTEL_SEMCONV_STABILITY_OPT_IN"})
"""Variables whose empty value is a choice."""

_EXPORT_BATCH_SPANS = 64
_QUEUE_SPANS = 8192


def set_defaults(environ: MutableMapping[str, str]) -> None:
    """Fill in what the user left unset, or empty, which OpenTelemetry takes as unset; all else stays as it is.

    Empty, two variables say something: that no URL is excluded, and that the old HTTP conventions are wanted.

    Encoding a batch holds the GIL for about 50 µs a span: batches of 64 instead of 512 halved the P99 that 500 requests
    a second see (measured). Metrics cost 120 to 250 µs a request and are derived from the spans instead.
    """
    defaults = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "16384",  # spans wait by the thousand while the collector is away
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_BSP_MAX_QUEUE_SIZE": str(_QUEUE_SPANS),
        "OTEL_PYTHON_EXCLUDED_URLS": ",".join(PROBES),
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "modelwatch",
        "GRPC_VERBOSITY": "ERROR",  # unset, its core prints a line for every handshake with a server that has no TLS
    }
    for name, value in defaults.items():
        _set_default(environ, name, value)
    _set_default(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", str(_batch_spans(environ["OTEL_BSP_MAX_QUEUE_SIZE"])))


def _set_default(environ: MutableMapping[str, str], name: str, value: str) -> None:
    if name not in environ or (not environ[name].strip() and name not in MAY_BE_EMPTY):
        environ[name] = value


def _batch_spans(queue_spans: str) -> int:
    """Return the batch size for a queue: the SDK refuses to start with a batch larger than its queue."""
    try:
        return max(1, min(_EXPORT_BATCH_SPANS, int(queue_spans)))
    except ValueError:
        return _EXPORT_BATCH_SPANS


def disabled_instrumentations(environ: MutableMapping[str, str]) -> frozenset[str]:
    """Return the names in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS."""
    names = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    return frozenset(name.strip() for name in names)


class ModelWatchDistro(BaseDistro):  # type: ignore[misc]
    """OpenTelemetry with ModelWatch's defaults; chosen among several distros by OTEL_PYTHON_DISTRO=modelwatch."""

    is_in_use = False

    def _configure(self, **_: Any) -> None:
        ModelWatchDistro.is_in_use = True
        set_defaults(os.environ)

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        """Load an instrumentor, unless ours does its work already; with ours disabled, the others take over."""
        if entry_point.name in SUPERSEDED and OURS not in disabled_instrumentations(os.environ):
            return
        if entry_point.name == "flask":
            kwargs.setdefault("request_hook", name_unmatched)
        super().load_instrumentor(entry_point, **kwargs)

"""Flask, through OpenTelemetry's instrumentor: a path that no route matched leaves no name of its own.

The distro hands the hook to the instrumentor, which names such spans by their raw path: as many names as a scanner has
ideas.
"""

from __future__ import annotations

import sys
from typing import Any

from opentelemetry.trace import Span
from opentelemetry.util.http import sanitize_method


def name_unmatched(span: Span, environ: dict[str, Any]) -> None:
    """Name the span of a request without a route by its method alone, as the HTTP conventions want it."""
    flask = sys.modules.get("flask")
    if flask is not None and flask.request.url_rule is None and span.is_recording():
        method = sanitize_method(environ.get("REQUEST_METHOD", ""))
        span.update_name("HTTP" if method == "_OTHER" else method)

"""Wrapping methods of libraries when, and only when, the application imports them.

The instrumentors list their patches here; importing a web framework early would slow down every Python process that
the watched one starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

from opentelemetry.instrumentation.utils import unwrap
from wrapt import register_post_import_hook, wrap_function_wrapper

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""Called with the wrapped function, the instance, and the arguments of the call."""

_logger = logging.getLogger(__name__)


class Patches:
    """A set of patches that can be taken back; a library without the method named is left alone, with a warning."""

    def __init__(self) -> None:
        self._applied: list[tuple[Any, str]] = []
        self._is_active = True

    def add(self, module: str, path: str, wrapper: Wrapper) -> None:
        """Wrap `path` ("Class.method" or "function") of `module`, now if it is imported, else once it is."""

        def apply(imported: ModuleType) -> None:
            if self._is_active:
                self._wrap(imported, path, wrapper)

        register_post_import_hook(apply, module)

    def remove(self) -> None:
        """Unwrap everything; modules that are imported later stay as they are."""
        self._is_active = False
        while self._applied:
            unwrap(*self._applied.pop())

    def _wrap(self, module: ModuleType, path: str, wrapper: Wrapper) -> None:
        class_name, _, name = path.rpartition(".")
        owner = getattr(module, class_name, None) if class_name else module
        if owner is None or not hasattr(owner, name):
            _logger.warning("%s has no %s: requests are traced without it", module.__name__, path)
            return
        wrap_function_wrapper(module, path, wrapper)
        self._applied.append((owner, name))

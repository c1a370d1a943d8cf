"""What the instrumentors of all libraries have in common: hooks for when the application imports them.

A library that the application does not import is never imported, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from wrapt import register_post_import_hook

from modelwatch_instrumentation.models.calls import Library, RecordedMethods
from modelwatch_instrumentation.models.requests import complete_requests
from modelwatch_instrumentation.models.settings import Mode, settings


class LibraryInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Records the calls of one library; its hooks take the module that was imported."""

    library: Library

    def hooks(self) -> dict[str, Callable[[ModuleType], None]]:
        """Return what to do with which module."""
        raise NotImplementedError

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no requirement: what is not installed is never imported, and so never patched."""
        return ()

    def _instrument(self, **_: Any) -> None:
        self.methods = RecordedMethods(self.library)
        self.is_active = settings().mode is not Mode.OFF
        if self.is_active:
            complete_requests(trace.get_tracer_provider())
            for module, hook in self.hooks().items():
                register_post_import_hook(self._while_active(hook), module)

    def _uninstrument(self, **_: Any) -> None:
        self.is_active = False
        self.methods.remove()

    def _while_active(self, hook: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        methods = self.methods

        def apply(module: ModuleType) -> None:
            if self.is_active and self.methods is methods:
                hook(module)

        return apply


def descendants(cls: type) -> set[type]:
    """Return a class and everything that was derived from it so far."""
    children: list[type] = cls.__subclasses__()
    found = {cls}
    for child in children:
        found |= descendants(child)
    return found

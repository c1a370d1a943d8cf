"""Names of a package that are loaded when they are first asked for (PEP 562).

Every process reads the settings of every room, and so runs each room's `__init__`; what only some of them need, such as
numpy or the driver of RabbitMQ, waits here until somebody has a use for it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def late_names(package: str, module_of: Callable[[str], str | None]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`: `module_of` tells which module has a name, `None` of a name that is none."""

    def get(name: str) -> Any:
        module = None if name.startswith("__") else module_of(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(module), name)

    return get

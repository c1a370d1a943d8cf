"""Loading one service of Apprise instead of all: a fifth of a second instead of more than one, for each message.

Used by `apprise_process.py`. Apprise finds the service of a scheme by importing all of its modules; here the module is
found by its text, and Apprise is shown no other. Where that finds nothing, it imports them all.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import apprise.plugins
from apprise.manager_plugins import NotificationManager

_PROTOCOLS: Final = re.compile(r"^    (?:secure_)?protocol(?:: [^=\n]+)? = (\([^)]*\)|.*)$", re.MULTILINE)
_NAMES: Final = re.compile(r"""["']([a-z0-9.+-]+)["']""")


def load_service(schema: str) -> None:
    """Have Apprise know the service of a scheme, such as `slack`, and if possible no other."""
    manager = cast(Any, NotificationManager)()
    names = modules_of(schema)
    if names:
        # Where nothing can be written, as in some containers, all are loaded.
        with suppress(OSError), tempfile.TemporaryDirectory() as folder:
            for name in names:
                Path(folder, name).touch()
            manager.load_modules(path=folder, name="apprise.plugins")
    if schema not in manager:
        manager.load_modules()


def modules_of(schema: str) -> list[str]:
    """Return the names of the modules that say they speak the scheme."""
    folder = Path(apprise.plugins.__file__).parent
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", "base")) or not (path.is_dir() or path.suffix == ".py"):
            continue
        files = sorted(path.glob("*.py")) if path.is_dir() else [path]
        if any(schema in _schemas(file.read_text(encoding="utf-8")) for file in files):
            found.append(path.stem)
    return found


def _schemas(text: str) -> set[str]:
    return {name for protocols in _PROTOCOLS.findall(text) for name in _NAMES.findall(protocols)}

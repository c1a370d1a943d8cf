"""The id of this installation, by which it knows again what it forwarded: drawn once, and kept in the data folder.

Exporters that share a folder are one installation; others are told that they are by a setting.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

import structlog

from telemetry.forwarding_trail import ID_BYTES, is_installation_id

_log = structlog.get_logger(__name__)

FILE: Final = "installation-id"
_MAX_BYTES: Final = 100


def installation_id(folder: Path) -> str:
    """Return the id that the folder holds, which gets one if it has none.

    Without a folder that can be written to, the id lasts as long as this process: a circle is found all the same, some
    rounds later.
    """
    path = folder / FILE
    try:
        return _read(path) or _make(path)
    except OSError as error:
        _log.warning("cannot keep the id of this installation", file=str(path), reason=error.strerror)
        return secrets.token_hex(ID_BYTES)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
    return text if is_installation_id(text) else ""


def _make(path: Path) -> str:
    """Write a new id, unless another process is quicker: whoever comes second takes what the first wrote."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = secrets.token_hex(ID_BYTES)
    fresh = path.with_name(f"{FILE}.{drawn}")
    fresh.write_text(drawn + "\n", encoding="ascii")
    try:
        os.link(fresh, path)
    except FileExistsError:
        other = _read(path)
        if other:
            return other
        fresh.replace(path)  # what is there is no id
        return drawn
    finally:
        fresh.unlink(missing_ok=True)
    return drawn

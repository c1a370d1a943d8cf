"""Files that are read at the start and taken up again whenever they change, so that secrets are renewed in place.

Beside the way of a request: the component starts one for the ingest keys and one for the certificates.
"""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from telemetry import StartError

POLL_S: Final = 0.5
"""A change is taken up at the second look that finds it, so after one second at most."""

_MAX_BYTES: Final = 1024 * 1024

TakeUp = Callable[[tuple[bytes, ...]], None]
"""Takes the contents, one per file, into use; raises `StartError` if they are of no use."""


class WatchedFiles:
    """Hands the contents of some files to `take_up`, all of them together. A `telemetry.Component`.

    `files` are paths by the setting that names them. The contents are read and compared, twice a second: times and
    sizes can stay as they were when a secret is replaced by one of the same length.
    """

    def __init__(self, files: Mapping[str, Path], take_up: TakeUp) -> None:
        self._files = files
        self._take_up = take_up
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take the files up. Raises `StartError` if one cannot be read or is of no use."""
        if self._watching is not None:
            return
        contents = await asyncio.to_thread(self._read)
        self._take_up(contents)
        self._watching = asyncio.create_task(self._watch(_fingerprint(contents)), name="watched files")

    async def stop(self) -> None:
        """Look no more; what was taken up stays."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})

    async def _watch(self, in_use: object) -> None:
        log = structlog.get_logger(__name__)
        seen = in_use
        is_failing = False
        while True:
            await asyncio.sleep(POLL_S)
            try:
                found = await asyncio.to_thread(self._look)
                # A file that is being written looks different from one look to the next, and half a key is no key.
                is_settled, seen = found == seen, found
                if not is_settled:
                    continue
                if found != in_use:
                    contents = await asyncio.to_thread(self._read)
                    if _fingerprint(contents) != found:
                        continue
                    self._take_up(contents)
                    in_use = found
                    log.info("changed files are in use", files=[str(path) for path in self._files.values()])
                is_failing = False
            except StartError as error:
                if not is_failing:
                    log.error("changed files cannot be used, what they held before stays in use", reason=str(error))
                is_failing = True

    def _look(self) -> object:
        """Return something that is equal as long as the files are: no secret is kept for the comparison."""
        try:
            return _fingerprint(self._read())
        except StartError as error:
            return str(error)

    def _read(self) -> tuple[bytes, ...]:
        return tuple(read_secret(setting, path) for setting, path in self._files.items())


def read_secret(setting: str, path: Path) -> bytes:
    """Return the content of a small file. Raises `StartError`, which names the setting."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StartError(f"{setting}: {path} is no file")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise StartError(f"{setting}: {path} cannot be read ({error.strerror})") from None
    if len(content) > _MAX_BYTES:
        raise StartError(f"{setting}: {path} is larger than {_MAX_BYTES} bytes")
    return content


def _fingerprint(contents: tuple[bytes, ...]) -> object:
    return tuple(hashlib.sha256(content).digest() for content in contents)

"""TLS of the web port: from PEM files to a context that takes up renewed ones by itself.

Used by `api/web_server.py`.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import structlog

from telemetry import StartError

MinVersion = Literal["1.2", "1.3"]

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_log = structlog.get_logger(__name__)

_State = tuple[tuple[int, int, int], ...]
"""Of the files: when each was changed, its size, and which it is."""


class TlsFiles(NamedTuple):
    """Certificate chain and private key, in PEM, and the oldest version of TLS that is spoken."""

    cert_file: Path
    key_file: Path
    min_version: MinVersion = "1.2"

    def context(self) -> ssl.SSLContext:
        """Return the context for a listening socket. Raises `StartError` if the files are of no use."""
        return _Renewed(self).listening


class _Renewed:
    """Looks at the files at each handshake; while changed ones are of no use, those before are shown on."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._state = _state_of(files)
        self._current = self.listening = _context(files)
        self.listening.sni_callback = self._carry_on

    def _carry_on(self, connection: Any, _name: str | None, _initial: ssl.SSLContext) -> None:
        self._take_up()
        connection.context = self._current

    def _take_up(self) -> None:
        state = _state_of(self._files)
        if state == self._state:
            return
        self._state = state
        try:
            self._current = _context(self._files)
        except StartError as error:
            _log.error("changed certificate is not taken up", reason=str(error))
        else:
            _log.info("changed certificate taken up", file=str(self._files.cert_file))


def _state_of(files: TlsFiles) -> _State | None:
    try:
        found = [path.stat() for path in (files.cert_file, files.key_file)]
    except OSError:
        return None
    return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[files.min_version]
    context.set_alpn_protocols(["http/1.1"])
    both = f"MODELWATCH_API__TLS_CERT_FILE {files.cert_file} or MODELWATCH_API__TLS_KEY_FILE {files.key_file}"

    def refuse_password() -> str:
        raise StartError(f"{both}: the key is encrypted, and nobody is there to type its password")

    try:
        context.load_cert_chain(files.cert_file, files.key_file, password=refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise StartError(f"{both}: the key is not that of the certificate") from None
        raise StartError(f"{both}: not in PEM form") from None
    except OSError as error:
        raise StartError(f"{both}: cannot be read ({error.strerror})") from None
    return context

"""The Docker Engine API as far as it is needed: a few GET requests, as Docker and Podman answer them.

The only module that speaks to the engine. It never sends anything but GET, so a read-only proxy is enough.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from container_stats.engine_address import EngineAddress
from telemetry import ModelWatchError, StartError

NEWEST_API: Final = (1, 47)
"""The newest version of the API that this was written for; newer engines speak older ones as well."""

MAX_LINE_BYTES: Final = 1024 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024

Lines = AsyncIterator[bytes]


class EngineError(ModelWatchError):
    """The engine cannot be reached, or does not answer as it should; it may do so later."""


class NotFoundError(EngineError):
    """The engine knows no such container."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Who answered: `runtime` is `docker` or `podman`; `host_name` empty where a proxy does not let it be asked."""

    runtime: str
    version: str
    api: str
    host_name: str


@dataclass(frozen=True, slots=True)
class EngineTls:
    """PEM files for an engine that speaks TLS."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def is_set(self) -> bool:
        return self.ca_file is not None or self.cert_file is not None


class EngineClient:
    """Speaks to one engine. `connect` first; `close` at the end, after which it can connect again."""

    def __init__(
        self, address: EngineAddress, timeout_s: float, max_streams: int, tls: EngineTls | None = None
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        limits = httpx.Limits(max_connections=max_streams + 8, max_keepalive_connections=4)
        verify = ssl_context_of(tls or EngineTls()) if address.url.startswith("https:") else False
        transport = httpx.AsyncHTTPTransport(uds=address.socket, limits=limits, verify=verify)
        self._http = httpx.AsyncClient(
            transport=transport, base_url=address.url, timeout=timeout_s, headers={"user-agent": "modelwatch"}
        )
        self._prefix = ""

    async def connect(self) -> Engine:
        """Agree on a version of the API and return who answered. Raises `EngineError`."""
        self._prefix = ""
        version = _object(await self._get_json("/version"))
        self._prefix = f"/v{agreed_version(version)}"
        try:
            info = _object(await self._get_json("/info"))
        except EngineError:
            info = {}  # read-only proxies often forbid it; it only names the host
        return Engine(
            runtime=_runtime_of(version),
            version=str(version.get("Version", "")),
            api=self._prefix.removeprefix("/v"),
            host_name=str(info.get("Name") or ""),
        )

    async def list_containers(self) -> list[Mapping[str, Any]]:
        """Return all containers, `Id` and `State` of each. Raises `EngineError`."""
        answer = await self._get_json("/containers/json", {"all": "1"})
        if not isinstance(answer, list):
            raise EngineError(f"{self.address} answered with no list of containers")
        return [entry for entry in answer if isinstance(entry, dict) and isinstance(entry.get("Id"), str)]

    async def inspect(self, container_id: str) -> Mapping[str, Any]:
        """Return all that is known of a container. Raises `EngineError`, `NotFoundError` if it is gone."""
        return _object(await self._get_json(f"/containers/{quote(container_id, safe='')}/json"))

    @asynccontextmanager
    async def stats(self, container_id: str, idle_s: float) -> AsyncIterator[Lines]:
        """Stream the frames of a container, a line each. Raises `EngineError`, also if none comes in `idle_s`."""
        async with self._stream(f"/containers/{quote(container_id, safe='')}/stats", {"stream": "1"}, idle_s) as lines:
            yield lines

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Lines]:
        """Stream what happens to containers, a line each. Raises `EngineError` if the stream breaks."""
        async with self._stream("/events", {"filters": '{"type":["container"]}'}, None) as lines:
            yield lines

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _get_json(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        try:
            async with self._http.stream("GET", self._prefix + path, params=dict(query or {})) as response:
                _require_success(response)
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise EngineError(f"{self.address} answered {path} with more than {MAX_ANSWER_BYTES} bytes")
            return json.loads(body)
        except (httpx.HTTPError, OSError) as error:
            raise EngineError(_reason(self.address, error)) from error
        except ValueError as error:
            raise EngineError(f"{self.address} answered {path} with no JSON") from error

    @asynccontextmanager
    async def _stream(self, path: str, query: Mapping[str, str], idle_s: float | None) -> AsyncIterator[Lines]:
        timeout = httpx.Timeout(self._timeout_s, read=idle_s)
        try:
            async with self._http.stream("GET", self._prefix + path, params=dict(query), timeout=timeout) as response:
                _require_success(response)
                yield _lines(response)
        except (httpx.HTTPError, OSError) as error:
            raise EngineError(_reason(self.address, error)) from error


def agreed_version(version: Mapping[str, Any]) -> str:
    """Return the newest version of the API that both sides speak. Raises `EngineError` if there is none."""
    theirs, oldest = _version(version.get("ApiVersion")), _version(version.get("MinAPIVersion")) or (1, 12)
    if theirs is None:
        raise EngineError("what answered is no container engine: its /version names no ApiVersion")
    if oldest > NEWEST_API:
        raise EngineError(f"the engine speaks no version of its API below {oldest[0]}.{oldest[1]}: update ModelWatch")
    return ".".join(map(str, min(theirs, NEWEST_API)))


async def _lines(response: httpx.Response) -> Lines:
    """Yield lines as bytes; `aiter_lines` would decode each, and most frames are never looked at."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > MAX_LINE_BYTES:
            raise EngineError(f"the engine sent a line of more than {MAX_LINE_BYTES} bytes")


def _require_success(response: httpx.Response) -> None:
    if response.status_code == httpx.codes.NOT_FOUND:
        raise NotFoundError(f"{response.request.url.path} is not there")
    if response.status_code != httpx.codes.OK:
        raise EngineError(f"the engine answered {response.request.url.path} with {response.status_code}")


def _reason(address: EngineAddress, error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, PermissionError):
        return f"{address} may not be opened by this user: see docs/containers.md"
    if isinstance(cause, FileNotFoundError):
        return f"{address} is not there"
    if isinstance(cause, ConnectionRefusedError):
        return f"nobody listens on {address}"
    return f"{address} does not answer ({type(error).__name__})"


def ssl_context_of(tls: EngineTls) -> ssl.SSLContext:
    """Return what a connection to the engine is secured with. Raises `StartError` if a file is of no use."""
    try:
        context = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file else None)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise StartError(
            f"the engine's certificates cannot be used ({error}): set MODELWATCH_CONTAINERS__ENGINE_..."
        ) from error
    return context


def _runtime_of(version: Mapping[str, Any]) -> str:
    components = version.get("Components")
    names = (
        [str(part.get("Name", "")) for part in components if isinstance(part, dict)]
        if isinstance(components, list)
        else []
    )
    return "podman" if any("podman" in name.lower() for name in names) else "docker"


def _version(text: object) -> tuple[int, int] | None:
    major, _, minor = str(text or "").partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _object(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise EngineError("the engine answered with something else than was asked for")
    return answer

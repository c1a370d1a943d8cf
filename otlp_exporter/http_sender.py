"""Sends requests over OTLP/HTTP with protobuf."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from otlp_exporter.answers import Taken, TargetFailedError, TargetRefusedError, shown, taken_of
from otlp_exporter.certificates import ssl_context
from otlp_exporter.target_settings import TargetSettings
from telemetry import Signal
from telemetry.forwarding_trail import FORWARDED_BY_HEADER, header_of

_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_MAX_ANSWER_BYTES: Final = 1024**2
_COMPRESSED_HERE_BYTES: Final = 32 * 1024
"""Smaller bodies are compressed in the event loop, larger ones beside it."""


class HttpSender:
    """A pool of connections to one target."""

    def __init__(self, target: TargetSettings) -> None:
        """Raises `StartError` when headers or certificates cannot be read."""
        headers = target.all_headers()
        base = target.endpoint.rstrip("/")
        self._urls = {signal: f"{base}/v1/{signal.value}" for signal in Signal}
        self._is_gzip = target.compression == "gzip"
        self._secrets = tuple(headers.values())
        encoding = {"content-encoding": "gzip"} if self._is_gzip else {}
        self._timeout_s = target.timeout_s
        self._http = httpx.AsyncClient(
            headers={**headers, **encoding, "content-type": "application/x-protobuf", "accept-encoding": "identity"},
            timeout=target.timeout_s,
            limits=httpx.Limits(max_connections=target.max_concurrent, max_keepalive_connections=target.max_concurrent),
            verify=ssl_context(target) if target.is_secure else False,
            trust_env=False,
        )

    async def send(self, signal: Signal, body: bytes, forwarded_by: Sequence[str]) -> Taken:
        """Return once the target has the request. Raises `TargetFailedError` or `TargetRefusedError`."""
        content = await _compressed(body) if self._is_gzip else body
        headers = {FORWARDED_BY_HEADER: header_of(forwarded_by)}
        try:
            # httpx bounds each step; a target that sends its answer byte by byte must not hold the slot for ever.
            async with (
                asyncio.timeout(self._timeout_s),
                self._http.stream("POST", self._urls[signal], content=content, headers=headers) as response,
            ):
                answer = await _body_of(response)
        except (httpx.TimeoutException, TimeoutError):
            raise TargetFailedError(f"no answer within {self._timeout_s:g} s", "timeout") from None
        except (httpx.HTTPError, OSError) as error:
            raise TargetFailedError(f"no connection ({type(error).__name__})", "unreachable") from None
        if response.is_success:
            return taken_of(signal, answer, self._secrets)
        cause = f"HTTP {response.status_code}"
        if response.status_code in _RETRYABLE:
            raise TargetFailedError(f"answered {cause}", cause, retry_after_s=_retry_after_s(response))
        raise TargetRefusedError(
            f"answered {cause}: {shown(answer[:500].decode(errors='replace'), self._secrets)}", cause
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


async def _compressed(body: bytes) -> bytes:
    if len(body) <= _COMPRESSED_HERE_BYTES:
        return gzip.compress(body, compresslevel=1, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, compresslevel=1, mtime=0)


async def _body_of(response: httpx.Response) -> bytes:
    """Return the answer's beginning: a target could send one without an end."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > _MAX_ANSWER_BYTES:
            break
    return b"".join(parts)


def _retry_after_s(response: httpx.Response) -> float:
    """Return seconds of `Retry-After` (RFC 9110, section 10.2.3), 0 without it."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0

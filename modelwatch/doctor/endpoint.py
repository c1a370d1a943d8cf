"""The endpoint that the server's environment really names: whether it takes spans, and what time it is there.

It is sent an export without spans, which changes nothing anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import grpc
import grpc.aio
import httpx

from modelwatch.doctor.diagnosis import MAX_SKEW_S
from modelwatch.doctor.finding import Finding
from modelwatch.doctor.launch import protocol_of

TIMEOUT_S: Final = 3.0
_EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_SUBJECT: Final = "endpoint"
_SECOND_S: Final = 1.0
"""The resolution of the date in HTTP."""


async def check_endpoint(environ: Mapping[str, str]) -> list[Finding]:
    """Return whether the endpoint takes spans as the environment would send them."""
    is_http = protocol_of(environ).startswith("http")
    own, general = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    url = own or general or f"http://localhost:{4318 if is_http else 4317}"
    if is_http:
        return await _ask_http(url if own else url.rstrip("/") + "/v1/traces", environ)
    return [await _ask_grpc(url if "://" in url else f"http://{url}", environ)]


def headers_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers in OTEL_EXPORTER_OTLP_HEADERS, or those for traces, with small letters."""
    text = environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def skew_findings(date: str | None, now_s: float) -> Iterator[Finding]:
    """Yield a problem if the date of an HTTP answer is far from this machine's clock."""
    try:
        there_s = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return
    if abs(there_s - now_s) > MAX_SKEW_S + _SECOND_S:
        there = datetime.fromtimestamp(there_s, UTC).isoformat(timespec="seconds")
        text = f"at the endpoint it is {there}, {abs(there_s - now_s):.0f} s from here: let both machines use NTP"
        yield Finding("problem", "clock", text)


async def _ask_http(url: str, environ: Mapping[str, str]) -> list[Finding]:
    where = _shown(url)
    headers = {"content-type": "application/x-protobuf", **headers_of(environ)}
    try:
        async with httpx.AsyncClient(
            timeout=TIMEOUT_S, trust_env=False, verify=_certificates(environ) or True
        ) as client:
            answer = await client.post(url, content=b"", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return [_unreachable(where, type(error).__name__)]
    if answer.status_code in (401, 403):
        return [_no_key(where)]
    skew = list(skew_findings(answer.headers.get("date"), time.time()))
    if not answer.is_success:
        return [_unreachable(where, f"it answers {answer.status_code}"), *skew]
    return [Finding("ok", _SUBJECT, f"{where} takes spans"), *skew]


async def _ask_grpc(url: str, environ: Mapping[str, str]) -> Finding:
    where, parts = _shown(url), urlsplit(url)
    try:
        target = f"{parts.hostname}:{parts.port or 4317}"
        if parts.scheme == "https":
            file = _certificates(environ)
            credentials = grpc.ssl_channel_credentials(_read(file))
            channel = grpc.aio.secure_channel(target, credentials)
        else:
            channel = grpc.aio.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)])
        async with channel:
            export = channel.unary_unary(_EXPORT, _as_it_is, _as_it_is)
            await export(b"", timeout=TIMEOUT_S, metadata=list(headers_of(environ).items()))
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return _no_key(where)
        return _unreachable(where, error.code().name)
    except (OSError, ValueError) as error:
        return _unreachable(where, str(error))
    return Finding("ok", _SUBJECT, f"{where} takes spans")


def _unreachable(where: str, reason: str) -> Finding:
    fix = "set OTEL_EXPORTER_OTLP_ENDPOINT=http://<ModelWatch>:4317 (or :4318 with ..._PROTOCOL=http/protobuf)"
    return Finding("problem", _SUBJECT, f"{where} takes no spans ({reason}): {fix}")


def _no_key(where: str) -> Finding:
    fix = "set OTEL_EXPORTER_OTLP_HEADERS=x-modelwatch-key=<key>"
    return Finding("problem", _SUBJECT, f"{where} asks for a key: {fix}")


def _certificates(environ: Mapping[str, str]) -> str | None:
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE") or environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE")


def _read(file: str | None) -> bytes | None:
    return Path(file).read_bytes() if file else None


def _as_it_is(message: bytes) -> bytes:
    return message


def _shown(url: str) -> str:
    """Return an address without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

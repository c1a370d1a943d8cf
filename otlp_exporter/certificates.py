"""The certificates of one target, read for both protocols. A file that cannot be used stops the start with one line."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from otlp_exporter.target_settings import TargetSettings
from telemetry import StartError


def ssl_context(target: TargetSettings) -> ssl.SSLContext:
    """Return what `https://` is spoken with. Raises `StartError`."""
    try:
        context = ssl.create_default_context(cafile=str(target.ca_file) if target.ca_file else None)
        if target.client_cert_file:
            context.load_cert_chain(target.client_cert_file, target.client_key_file)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(target, error) from None
    return context


def grpc_credentials(target: TargetSettings) -> grpc.ChannelCredentials:
    """Return what a secure channel is made with. Raises `StartError`; gRPC itself would only never connect."""
    ssl_context(target)
    read = [_read(target, path) for path in (target.ca_file, target.client_key_file, target.client_cert_file)]
    return grpc.ssl_channel_credentials(*read)


def _read(target: TargetSettings, path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise _unusable(target, error) from None


def _unusable(target: TargetSettings, error: Exception) -> StartError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return StartError(
        f"target {target.name!r}: its certificates cannot be used ({reason}): see ca_file, client_cert_file and "
        "client_key_file"
    )

"""Sends batches of metrics to an OTLP/HTTP endpoint, as any other client does. A `telemetry.Consumer`.

What the endpoint answers is translated into the two classes of error (OTLP specification, "OTLP/HTTP Response").
"""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
import structlog
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from telemetry import Batch, Counters, PermanentError, RetryableError, StartError

_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_METRICS_PATH: Final = "/v1/metrics"


class OtlpClient:
    """`close` at the end."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        timeout_s: float,
        counters: Counters,
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> None:
        self.url = endpoint if endpoint.endswith(_METRICS_PATH) else endpoint.rstrip("/") + _METRICS_PATH
        self._counters = counters
        self._http = httpx.AsyncClient(
            headers={**headers, "content-type": "application/x-protobuf", "content-encoding": "gzip"},
            timeout=timeout_s,
            verify=endpoint_tls(ca_file, cert_file, key_file) if self.url.startswith("https:") else False,
            trust_env=False,
        )

    async def consume(self, batch: Batch) -> None:
        """Return once the endpoint has taken the batch; what it rejected of it is logged and counted.

        Raises `RetryableError` or `PermanentError`.
        """
        try:
            response = await self._http.post(self.url, content=gzip.compress(batch.body, compresslevel=1))
        except (httpx.HTTPError, OSError) as error:
            raise RetryableError(f"{self.url} does not answer ({type(error).__name__})") from error
        if response.status_code in _RETRYABLE:
            raise RetryableError(
                f"{self.url} answered {response.status_code}", retry_after_s=_retry_after_s(response) or 1.0
            )
        if not response.is_success:
            raise PermanentError(f"{self.url} answered {response.status_code}")
        self._take_partial_success(response.content)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def _take_partial_success(self, body: bytes) -> None:
        try:
            partial = ExportMetricsServiceResponse.FromString(body).partial_success
        except DecodeError:
            return  # a success all the same, as its status says
        if partial.rejected_data_points > 0:
            self._counters.add("container_stats_rejected_points", partial.rejected_data_points)
        if partial.rejected_data_points or partial.error_message:
            structlog.get_logger(__name__).warning(
                "metrics were taken in part", rejected=partial.rejected_data_points, message=partial.error_message
            )


def headers_of(text: str) -> dict[str, str]:
    """Return the headers of `name=value,name=value`."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _retry_after_s(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), 60.0) if text.isdecimal() else None


def endpoint_tls(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return what connections to ModelWatch are secured with. Raises `StartError` if a file is of no use."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise StartError(
            f"the certificates for sending cannot be used ({error}): see MODELWATCH_CONTAINERS__CA_FILE and "
            "..._CLIENT_CERT_FILE"
        ) from error
    return context

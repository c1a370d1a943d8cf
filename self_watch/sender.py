"""Sends the canary's requests to an OTLP/HTTP endpoint, as any other client does.

The adapter of `httpx`; its errors are translated here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from telemetry import PermanentError, RetryableError

_PATH = "/v1/traces"


class TraceSender:
    """Component; `send` between `start` and `stop`.

    `endpoint` is asked for with each request, as a port may be known only once it is listened on. `is_own` says that it
    is this very process, whose certificate is made out to another name than loopback.
    """

    def __init__(
        self, endpoint: Callable[[], str], headers: Mapping[str, str], timeout_s: float, *, is_own: bool
    ) -> None:
        self._endpoint = endpoint
        self._headers = {**headers, "content-type": "application/x-protobuf"}
        self._timeout_s = timeout_s
        self._is_own = is_own
        self._http: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Be ready to send."""
        if self._http is None:
            self._http = httpx.AsyncClient(
                headers=self._headers, timeout=self._timeout_s, verify=not self._is_own, trust_env=False
            )

    async def stop(self) -> None:
        """Close all connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def send(self, body: bytes) -> None:
        """Return once the endpoint has taken the request. Raises `RetryableError` or `PermanentError`."""
        if self._http is None:
            raise RetryableError("not started")
        endpoint = self._endpoint()
        url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
        try:
            response = await self._http.post(url, content=body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise RetryableError(f"{url} does not answer ({type(error).__name__})") from error
        if not response.is_success:
            raise PermanentError(f"{url} answered {response.status_code}")


def headers_of(text: str) -> dict[str, str]:
    """Return the headers of `name=value,name=value`."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}

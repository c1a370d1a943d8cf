"""Asks the API over HTTP; whatever is wrong with the answer becomes one line that says what to do."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Self

import httpx

from modelwatch.query_command.settings import ClientSettings
from telemetry import StartError

Parameters = Mapping[str, str | Sequence[str]]

_URL = "MODELWATCH_CLIENT__URL"
_TOKEN = "MODELWATCH_CLIENT__TOKEN"


class AskingError(Exception):
    """There is no answer; the message says why and what to do."""


class Client:
    """A connection to one ModelWatch, used as a context manager. Raises `StartError` for an address that is none."""

    def __init__(self, settings: ClientSettings) -> None:
        self._url = settings.url.rstrip("/")
        token = settings.token
        self._has_token = token is not None
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token.get_secret_value()}"} if token is not None else {},
            timeout=settings.timeout_s,
            # A proxy for the world outside does not know this machine's own loopback.
            trust_env=not _is_loopback(_host(self._url)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, path: str, parameters: Parameters, items: str = "items") -> dict[str, Any]:
        """Return the document at this path, which has a list of `items`. Raises `AskingError`."""
        try:
            response = self._client.get(f"{self._url}{path}", params=dict(parameters))
        except httpx.TimeoutException:
            raise AskingError(
                f"{self._url} did not answer in time: ask for less, or set MODELWATCH_CLIENT__TIMEOUT_S"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AskingError(
                f"no ModelWatch answers at {self._url} ({_reason(error)}): start it, or set --url or {_URL}"
            ) from None
        if response.status_code != HTTPStatus.OK:
            raise AskingError(self._refusal(response))
        document = _json(response)
        if not isinstance(document, dict) or not isinstance(document.get(items), list):
            raise AskingError(f"what answers at {self._url} is not ModelWatch: set --url or {_URL}")
        return document

    def ask_all(self, path: str, parameters: Parameters, items: str = "items") -> dict[str, Any]:
        """Return the document of the first page with the items of all pages in it. Raises `AskingError`."""
        document = self.ask(path, parameters, items)
        seen: set[str] = set()
        while cursor := document.get("next_cursor"):
            if cursor in seen:
                raise AskingError(f"the pages that {self._url} answers do not end")
            seen.add(cursor)
            page = self.ask(path, {**parameters, "cursor": cursor}, items)
            document[items].extend(page[items])
            document["next_cursor"] = page.get("next_cursor")
        return document

    def _refusal(self, response: httpx.Response) -> str:
        status = response.status_code
        if status == HTTPStatus.UNAUTHORIZED:
            if self._has_token:
                why = "it is wrong, expired or revoked, set another one"
                return f"{self._url} does not take the token of {_TOKEN} or {_TOKEN}_FILE: {why}"
            return f"{self._url} wants to know who asks: set {_TOKEN} or {_TOKEN}_FILE"
        if status == HTTPStatus.FORBIDDEN:
            return f"{self._url} does not allow this to the holder of this token"
        problem = _json(response)
        if not isinstance(problem, dict) or "title" not in problem:
            return f"what answers at {self._url} is not ModelWatch (status {status}): set --url or {_URL}"
        wrong = problem.get("errors") or ()
        told = [f"{one.get('parameter', '')}: {one.get('message', '')}" for one in wrong if isinstance(one, dict)]
        return "; ".join(told) or str(problem.get("detail") or problem["title"])


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _host(url: str) -> str:
    try:
        host = httpx.URL(url).host
    except (httpx.InvalidURL, UnicodeError):
        host = ""
    if not host:
        raise StartError(f"--url or {_URL} must be of the form http://host:port")
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__

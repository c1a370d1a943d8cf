"""Which web pages may send from a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from otlp_receiver.settings import ReceiverSettings
from telemetry import PermanentError, RetryableError
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import PROTOBUF

BODY = trace_request(server_spans(3)).SerializeToString()
SHOP, OTHER = "https://shop.example", "https://shop.example.evil.example"
ALLOW_ORIGIN = "access-control-allow-origin"

Client = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def client_of(start_receiver: StartReceiver) -> AsyncIterator[Client]:
    """Start a receiver with these settings and return a client to it."""
    clients = []

    async def client_of(**settings: object) -> httpx.AsyncClient:
        receiver = await start_receiver(**settings)
        clients.append(httpx.AsyncClient(base_url=f"http://127.0.0.1:{receiver.http_port}"))
        return clients[-1]

    yield client_of
    for client in clients:
        await client.aclose()


async def preflight(client: httpx.AsyncClient, origin: str) -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-modelwatch-key",
    }
    return await client.options("/v1/traces", headers=headers)


async def post(client: httpx.AsyncClient, origin: str | None, body: bytes = BODY, **headers: str) -> httpx.Response:
    named = {"content-type": PROTOBUF} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/traces", content=body, headers=named | ({"origin": origin} if origin else {}))


def cors_headers(response: httpx.Response) -> set[str]:
    return {name for name in response.headers if name.startswith("access-control-")}


async def test_it_is_off_by_default(client_of: Client) -> None:
    """Without a list of origins nothing is said to browsers, and a preflight is a method that is not allowed."""
    client = await client_of()
    for response, status in ((await preflight(client, SHOP), 405), (await post(client, SHOP), 200)):
        assert (response.status_code, cors_headers(response)) == (status, set())


async def test_a_listed_page_may_send(client_of: Client) -> None:
    """A preflight needs no key, names method and headers, and costs nothing; the request that follows does need one."""
    client = await client_of(ingest_keys=(SecretStr("the-key"),), cors_allowed_origins=f"https://a.example, {SHOP}")
    response = await preflight(client, SHOP)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers[ALLOW_ORIGIN] == SHOP
    assert response.headers["access-control-allow-methods"] == "POST"
    allowed = response.headers["access-control-allow-headers"].split(", ")
    assert set(allowed) == {"authorization", "content-encoding", "content-type", "x-modelwatch-key"}
    assert response.headers["vary"] == "origin"
    for key, status in (("the-key", 200), ("another", 401)):
        response = await post(client, SHOP, x_modelwatch_key=key)
        assert (response.status_code, response.headers[ALLOW_ORIGIN]) == (status, SHOP)


@pytest.mark.parametrize("origin", [OTHER, "http://shop.example", "https://shop.example:8443", "null", ""])
async def test_another_page_may_not(client_of: Client, origin: str) -> None:
    """Origins are compared whole: to any other, neither the preflight nor an answer holds a permission."""
    client = await client_of(cors_allowed_origins=SHOP)
    for response in (await preflight(client, origin), await post(client, origin)):
        assert cors_headers(response) == set()
        assert response.headers["vary"] == "origin"


async def test_senders_that_are_no_browsers_are_served_as_ever(client_of: Client, consumer: GatedConsumer) -> None:
    """A request without an origin is taken; a bare OPTIONS stays a method that is not allowed."""
    client = await client_of(cors_allowed_origins=SHOP)
    assert (await post(client, None)).status_code == 200
    assert (await client.options("/v1/traces")).status_code == 405
    assert len(consumer.batches) == 1


async def test_a_page_hears_errors_too(client_of: Client, consumer: GatedConsumer) -> None:
    """Every kind of error is marked, or the page could not tell it from a broken line; Retry-After can be read."""
    client = await client_of(cors_allowed_origins=SHOP, max_request_bytes=10_000)
    consumer.errors = [RetryableError("later"), PermanentError("never")]
    answers = [
        await post(client, SHOP),
        await post(client, SHOP),
        await post(client, SHOP, b"\xff"),
        await post(client, SHOP, bytes(10_001)),
        await post(client, SHOP, content_type="text/plain"),
        await client.get("/nowhere", headers={"origin": SHOP}),
    ]
    assert [answer.status_code for answer in answers] == [503, 400, 400, 413, 415, 404]
    assert {answer.headers[ALLOW_ORIGIN] for answer in answers} == {SHOP}
    assert answers[0].headers["retry-after"] == "1"
    assert {answer.headers["access-control-expose-headers"] for answer in answers} == {"retry-after"}


async def test_further_headers_can_be_listed(client_of: Client) -> None:
    """What is listed is allowed beside the usual ones."""
    client = await client_of(cors_allowed_origins=SHOP, cors_allowed_headers="X-Tenant, traceparent")
    allowed = (await preflight(client, SHOP)).headers["access-control-allow-headers"].split(", ")
    assert {"x-tenant", "traceparent", "content-type"} <= set(allowed)


async def test_all_pages_can_be_allowed_but_never_their_cookies(client_of: Client) -> None:
    """For `*` the answer is `*`, which browsers do not accept for a request with credentials of their own."""
    client = await client_of(cors_allowed_origins="*")
    for response in (await preflight(client, OTHER), await post(client, OTHER)):
        assert response.headers[ALLOW_ORIGIN] == "*"
        assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://*.example", "null", "https://"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    """A path, a pattern or a bare name would never match, so it is a mistake in the settings."""
    with pytest.raises(ValidationError, match="origin"):
        ReceiverSettings.model_validate({"cors_allowed_origins": origin})


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://SHOP.example", "https://[::1]:8443", "capacitor://localhost"]
)
def test_origins_are_scheme_host_and_port(origin: str) -> None:
    """As browsers send them; case does not matter."""
    settings = ReceiverSettings.model_validate({"cors_allowed_origins": origin})
    assert settings.cors_allowed_origins == (origin.lower(),)

"""The table of roles, and the assembly of a role's components from the settings.

The only place that knows which part stands behind which URL; `up` is just the role that has every part.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import SecretStr

from api.component import build as build_api
from api.health_app import build_health_app
from api.web_server import WebServer
from dash_app.component import mount as mount_pages
from modelwatch.lifecycle import run_until_signal
from modelwatch.settings import Settings
from otlp_receiver.component import build as build_receiver
from otlp_receiver.settings import ReceiverSettings
from processor.component import build as build_intake
from processor.rabbit_source import RabbitSource
from query import Query
from rabbit_exporter.component import build as build_exporter
from storage.absent_live_feed import AbsentLiveFeed
from storage.component import (
    build_in_process_live_feed,
    build_postgres_history,
    build_redis_live_feed,
    build_retention,
    build_sqlite_history,
)
from storage.history import SqlHistory
from storage.ports import LiveFeed
from telemetry import Component, Consumer, Counters, RetryableError, StartError

Part = Literal["receiver", "processor", "web"]
Check = Callable[[], Awaitable[None]]

ROLES: Mapping[str, frozenset[Part]] = {
    "up": frozenset({"receiver", "processor", "web"}),
    "receiver": frozenset({"receiver"}),
    "processor": frozenset({"processor"}),
    "dashboard": frozenset({"web"}),
}

HISTORIES: Mapping[str, Callable[..., SqlHistory]] = {
    "sqlite": build_sqlite_history,
    "postgresql+psycopg": build_postgres_history,
}
LIVE_FEEDS = ("redis", "rediss")
BROKERS = ("amqp", "amqps")


async def run_role(role: str, settings: Settings) -> None:
    """Run a role until SIGTERM or Ctrl-C. Raises `StartError`."""
    assembly = assemble(ROLES[role], settings)
    _calm_garbage_collection()
    await run_until_signal(assembly.components, f"{role} is ready", assembly.addresses)


def _calm_garbage_collection() -> None:
    """Make full collections rare, and small.

    A filled live window is hundreds of thousands of objects without a cycle among them; going through all of them
    stopped the process for up to 1.6 s on a busy machine (benchmarks/query.py). What is loaded by now stays anyway.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@dataclass
class Assembly:
    """What a role consists of: components, downstream first, and what its readiness depends on."""

    counters: Counters = field(default_factory=Counters)
    components: list[Component] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    listeners: dict[str, Callable[[], str]] = field(default_factory=dict)

    def add(self, component: Any) -> Any:
        """Append a component, to be started after those before it."""
        self.components.append(component)
        return component

    def addresses(self) -> dict[str, str]:
        """Return where the started components listen, by name."""
        return {name: address() for name, address in self.listeners.items()}


def assemble(parts: frozenset[Part], settings: Settings) -> Assembly:
    """Return the components of these parts, connected and not yet started. Raises `StartError`."""
    made = Assembly()
    history = live = None
    if parts & {"processor", "web"}:
        history = made.add(build_history(settings))
        made.checks["history"] = history.check
        live = made.add(_live_feed(settings, made.counters, parts))
    intake = _add_processor(made, settings, history, live) if history and live and "processor" in parts else None
    if "receiver" in parts:
        consumer = _add_exporter(made, settings) if settings.broker_url else intake
        if consumer is None:
            raise StartError("the receiver needs RabbitMQ to hand its data to: set MODELWATCH_BROKER_URL=amqp://...")
        keys, host = settings.ingest_keys, settings.receiver.host
        receiver = made.add(build_receiver(_receiver_settings(settings), consumer, made.counters, keys))
        made.listeners["otlp_grpc"] = lambda: f"{host}:{receiver.grpc_port}"
        made.listeners["otlp_http"] = lambda: f"{host}:{receiver.http_port}"
    elif intake is not None and not settings.broker_url:
        raise StartError("the processor needs RabbitMQ to take its data from: set MODELWATCH_BROKER_URL=amqp://...")
    if history and live and "web" in parts:
        _add_web(made, settings, Query(settings.query, history, live))
    else:
        _add_health(made, settings)
    return made


def build_history(settings: Settings) -> SqlHistory:
    """Return the history that `database_url` names, or the SQLite file in the data folder."""
    if settings.database_url is None:
        return build_sqlite_history(settings.storage, f"sqlite:///{settings.data_dir / 'modelwatch.db'}")
    url = settings.database_url.get_secret_value()
    return HISTORIES[_scheme_of(url, tuple(HISTORIES), "MODELWATCH_DATABASE_URL")](settings.storage, url)


def broker_url_of(settings: Settings) -> SecretStr:
    """Return the broker's URL. Raises `StartError` if there is none or its scheme is unknown."""
    url = settings.broker_url or SecretStr("")
    _scheme_of(url.get_secret_value(), BROKERS, "MODELWATCH_BROKER_URL")
    return url


def live_url_of(settings: Settings) -> str | None:
    """Return the live feed's URL, `None` for the in-process one. Raises `StartError` if its scheme is unknown."""
    if settings.live_url is None:
        return None
    url = settings.live_url.get_secret_value()
    _scheme_of(url, LIVE_FEEDS, "MODELWATCH_LIVE_URL")
    return url


def _live_feed(settings: Settings, counters: Counters, parts: frozenset[Part]) -> LiveFeed:
    url = live_url_of(settings)
    if url is not None:
        return build_redis_live_feed(settings.storage, url, counters, is_mirrored="web" in parts)
    if parts >= {"processor", "web"} and settings.broker_url is None:
        return build_in_process_live_feed(settings.storage, counters)
    return AbsentLiveFeed()


def _add_processor(made: Assembly, settings: Settings, history: SqlHistory, live: LiveFeed) -> Consumer:
    made.add(build_retention(settings.storage, history))
    intake = made.add(build_intake(settings.processor, history, live, made.counters))
    if settings.broker_url:
        url = broker_url_of(settings)
        source = made.add(RabbitSource(settings.rabbit_source, settings.rabbitmq, url, intake, made.counters))
        made.checks["rabbitmq_source"] = _connected("the RabbitMQ source", lambda: source.is_connected)
    consumer: Consumer = intake
    return consumer


def _add_exporter(made: Assembly, settings: Settings) -> Consumer:
    url = broker_url_of(settings)
    exporter = made.add(build_exporter(settings.rabbit_exporter, settings.rabbitmq, url, made.counters))
    made.checks["rabbitmq_exporter"] = _connected("the RabbitMQ exporter", lambda: exporter.is_connected)
    consumer: Consumer = exporter
    return consumer


def _receiver_settings(settings: Settings) -> ReceiverSettings:
    """Return the receiver's settings; with a broker it takes no request that would not fit into a message."""
    if settings.broker_url is None:
        return settings.receiver
    largest = min(settings.receiver.max_request_bytes, settings.rabbit_exporter.max_message_bytes)
    return settings.receiver.model_copy(update={"max_request_bytes": largest})


def _add_web(made: Assembly, settings: Settings, query: Query) -> None:
    app = build_api(settings.api, query, made.counters, made.checks)
    dash = settings.dash
    if "otlp_endpoint" not in dash.model_fields_set:
        host = settings.receiver.host
        # Who listens on every address is best reached by name; the wildcard itself is no address to send to.
        reachable = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        dash = dash.model_copy(update={"otlp_endpoint": f"http://{reachable}:{settings.receiver.grpc_port}"})
    mount_pages(app, query, dash)
    api = settings.api
    server = made.add(
        WebServer(
            app,
            api.host,
            api.port,
            "MODELWATCH_API__PORT",
            allow_unauthenticated=api.allow_unauthenticated,
            shutdown_s=api.shutdown_s,
        )
    )
    made.listeners["page"] = lambda: f"http://{api.host}:{server.port}/"


def _add_health(made: Assembly, settings: Settings) -> None:
    health = settings.health
    if health.port:
        app = build_health_app(made.counters, made.checks)
        is_open = health.allow_unauthenticated
        server = made.add(
            WebServer(app, health.host, health.port, "MODELWATCH_HEALTH__PORT", allow_unauthenticated=is_open)
        )
        made.listeners["health"] = lambda: f"http://{health.host}:{server.port}/healthz"


def _connected(name: str, is_connected: Callable[[], bool]) -> Check:
    async def check() -> None:
        if not is_connected():
            raise RetryableError(f"{name} has no connection")

    return check


def _scheme_of(url: str, known: tuple[str, ...], variable: str) -> str:
    scheme = url.partition(":")[0]
    if scheme not in known:
        # Only the scheme is repeated: the rest may hold a password.
        raise StartError(f"{variable} must begin with {' or '.join(f'{name}://' for name in known)}, not `{scheme}:`")
    return scheme

"""Looks at settings, folder, ports and every configured server, and says what to do.

Changes nothing: it connects, asks, and closes.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pika.exceptions
import redis
import sqlalchemy
import sqlalchemy.exc

from alerting.channels.component import ChannelCheck, ChannelMaker, build_channels
from alerting.channels.given import with_files
from alerting.channels.matching import filter_trouble
from container_stats.engine_check import look_for_engine
from modelwatch.doctor.alert_rules import known_rules, made_channels
from modelwatch.doctor.finding import Finding, print_findings
from modelwatch.doctor.forwarding import forwarding
from modelwatch.own_server import body_at
from modelwatch.settings import Settings
from modelwatch.urls import HISTORIES, broker_url_of, live_url_of
from otlp_receiver.credentials import require_closed
from otlp_receiver.key_file import read_keys
from otlp_receiver.listening import is_loopback
from otlp_receiver.tls import certificates_of
from otlp_receiver.watched_files import read_secret
from rabbit_exporter.component import SPILL_FOLDER
from rabbit_exporter.spill_survey import survey_spill
from telemetry import StartError

TIMEOUT_S = 3.0


Check = Callable[[Settings], Iterator[Finding]]


def run_doctor(settings: Settings) -> int:
    """Print the findings; return 1 if there is a problem, else 0."""
    return print_findings(examine(settings))


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what is found, one after the other."""
    for check in (
        _python,
        _data_dir,
        _history,
        _broker,
        _spill,
        _live_feed,
        _access,
        _certificates,
        _alert_channels,
        forwarding,
        _ports,
        _data,
        _containers,
        _instrumentation,
    ):
        try:
            yield from check(settings)
        except StartError as error:
            yield Finding("problem", check.__name__.strip("_").replace("_", " "), str(error))


def _python(_settings: Settings) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    is_fit = sys.version_info >= (3, 11)
    yield Finding("ok" if is_fit else "problem", "Python", version if is_fit else f"{version}; 3.11 or newer is needed")


def _data_dir(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.absolute()
    if _can_write_below(folder):
        yield Finding("ok", "data folder", str(folder) + ("" if folder.exists() else " (will be made)"))
    else:
        yield Finding("problem", "data folder", f"{folder} cannot be written to: set MODELWATCH_DATA_DIR")


def _history(settings: Settings) -> Iterator[Finding]:
    if settings.database_url is None:
        yield Finding("ok", "history", f"SQLite, {settings.data_dir.absolute() / 'modelwatch.db'}")
        return
    raw = settings.database_url.get_secret_value()
    if raw.partition(":")[0] not in HISTORIES:
        raise StartError(f"set MODELWATCH_DATABASE_URL to one of {', '.join(f'{name}://' for name in HISTORIES)}")
    try:
        url = sqlalchemy.make_url(raw)
    except sqlalchemy.exc.ArgumentError:
        raise StartError("the URL cannot be read: set MODELWATCH_DATABASE_URL") from None
    where = url.set(query={}).render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "").absolute()
        if _can_write_below(path.parent):
            yield Finding("ok", "history", f"{where}{'' if path.exists() else ' (will be made)'}")
        else:
            yield Finding("problem", "history", f"{path.parent} cannot be written to: set MODELWATCH_DATABASE_URL")
        return
    engine = sqlalchemy.create_engine(url, connect_args={"connect_timeout": int(TIMEOUT_S)})
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        yield Finding("problem", "history", f"{where} does not answer ({reason}): see MODELWATCH_DATABASE_URL")
    else:
        yield Finding("ok", "history", where)
    finally:
        engine.dispose()


def _broker(settings: Settings) -> Iterator[Finding]:
    if settings.broker_url is None:
        yield Finding("ok", "broker", "none; receiver and processor share a process")
        return
    parameters = pika.URLParameters(broker_url_of(settings).get_secret_value())
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = TIMEOUT_S
    parameters.connection_attempts = 1
    where = f"{parameters.host}:{parameters.port}"
    try:
        pika.BlockingConnection(parameters).close()
    except (pika.exceptions.AMQPError, OSError) as error:
        reason = type(error).__name__
        yield Finding("problem", "broker", f"{where} does not let us in ({reason}): see MODELWATCH_BROKER_URL")
    else:
        yield Finding("ok", "broker", f"RabbitMQ at {where}")


def _spill(settings: Settings) -> Iterator[Finding]:
    if settings.broker_url is None:
        return
    if not settings.rabbit_exporter.spill_max_bytes:
        yield Finding("note", "spill", "off; while RabbitMQ is away senders are told to try again")
        return
    root = settings.data_dir.absolute() / SPILL_FOLDER
    try:
        found = survey_spill(root)
    except OSError as error:
        yield Finding("problem", "spill", f"{root} cannot be read ({error.strerror}): set MODELWATCH_DATA_DIR")
        return
    if found.waiting_bytes:
        yield Finding("note", "spill", f"{found.waiting_bytes / 1024**2:.1f} MiB wait for RabbitMQ in {root}")
    else:
        yield Finding("ok", "spill", f"nothing waits in {root}")
    if found.aside:
        yield Finding("note", "spill", f"kept aside in {root}/*/quarantine: {found.aside}; see docs/outages.md")


def _live_feed(settings: Settings) -> Iterator[Finding]:
    url = live_url_of(settings)
    if url is None:
        text = "in the process" if settings.broker_url is None else "none; pages then move in steps of 10 s"
        yield Finding("ok" if settings.broker_url is None else "note", "live feed", text)
        return
    try:
        with redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        yield Finding(
            "problem", "live feed", f"Redis does not answer ({type(error).__name__}): see MODELWATCH_LIVE_URL"
        )
    else:
        yield Finding("ok", "live feed", "Redis")


def _access(settings: Settings) -> Iterator[Finding]:
    """What the start refuses to open to anybody."""
    file = settings.ingest_keys_file
    try:
        count = len(settings.ingest_keys) + (len(read_keys(file)) if file else 0)
        require_closed(settings.receiver, has_keys=count > 0)
    except StartError as error:
        yield Finding("problem", "receiver", str(error))
    else:
        yield Finding("ok", "receiver", f"asks senders for one of {count} keys" if count else "asks for no key")
    if not is_loopback(settings.api.host) and not settings.api.allow_unauthenticated:
        yield Finding("ok", "page and API", "ask for a login: `modelwatch users list` says of whom")


def _certificates(settings: Settings) -> Iterator[Finding]:
    certificates = certificates_of(settings.receiver)
    if certificates is not None:
        certificates.take_up(tuple(read_secret(setting, path) for setting, path in certificates.files.items()))
        yield Finding("ok", "certificates", "the receiver's files can be read and fit together")
    if settings.api.tls is not None:
        settings.api.tls.context()
        yield Finding("ok", "certificates", "the files of pages and API can be read and fit together")


def _alert_channels(settings: Settings) -> Iterator[Finding]:
    """Whether the channels can be made, and Apprise can read their URLs; nothing is sent, no target is named."""
    subject, alerts = "alert channels", settings.alerts
    channels = build_channels(alerts)
    asyncio.run(ChannelCheck(channels).start())
    usable = list(alerts.channels)
    for name, made in made_channels(settings).items():
        try:
            if made is None:
                raise StartError(f"channel {name!r}: another version wrote it, and this one cannot read it")
            filled = with_files(made, alerts.channel_files_dir)
            channel = ChannelMaker(alerts).make(filled)
            asyncio.run(ChannelCheck([channel]).start())
        except StartError as error:
            yield Finding("problem", subject, f"{error}; it was made while running: change it on the Alerts page")
            continue
        channels.append(channel)
        usable.append(filled)
    if channels:
        yield Finding("ok", subject, ", ".join(f"{channel.name} ({channel.kind})" for channel in channels))
    rules = known_rules(settings) if usable else []
    for settings_of_one in usable:
        if trouble := filter_trouble(settings_of_one, rules):
            yield Finding("note", subject, f"{trouble}: see docs/alert-channels.md, which labels an alert has")


def _ports(settings: Settings) -> Iterator[Finding]:
    receiver, api, health = settings.receiver, settings.api, settings.health
    otlp_ports = (receiver.grpc_port, receiver.http_port)
    places = [
        ("OTLP/gRPC", receiver.host, receiver.grpc_port, "MODELWATCH_RECEIVER__GRPC_PORT"),
        ("OTLP/HTTP", receiver.host, receiver.http_port, "MODELWATCH_RECEIVER__HTTP_PORT"),
        ("page and API", api.host, api.port, "MODELWATCH_API__PORT"),
    ]
    if settings.broker_url is not None and health.port:
        places.append(("health", health.host, health.port, "MODELWATCH_HEALTH__PORT"))
    is_running = any(_is_modelwatch(host, port) for _, host, port, _ in places if port not in otlp_ports)
    for subject, host, port, variable in places:
        where = f"{host}:{port}"
        error = _bind_error(host, port)
        if error is None:
            yield Finding("ok", subject, f"{where} is free")
        elif error != errno.EADDRINUSE:
            setting = variable.removesuffix("PORT").removesuffix("GRPC_").removesuffix("HTTP_") + "HOST"
            yield Finding("problem", subject, f"cannot listen on {where} ({os.strerror(error)}): set {setting}")
        elif _is_modelwatch(host, port):
            yield Finding("ok", subject, f"ModelWatch answers on {where}")
        elif is_running:
            yield Finding("note", subject, f"{where} is in use, as it should be if by the ModelWatch that runs here")
        else:
            yield Finding("problem", subject, f"{where} is taken by another program: set {variable}")


def _data(settings: Settings) -> Iterator[Finding]:
    api, receiver = settings.api, settings.receiver
    answer = _get(api.host, api.port, "/api/v1/services?window=1h") if _is_modelwatch(api.host, api.port) else None
    if not isinstance(answer, dict) or "items" not in answer:
        yield Finding("note", "data", "ModelWatch does not run here now; `modelwatch up` starts it")
        return
    services = [item["service"] for item in answer["items"]]
    endpoint = f"http://{receiver.host}:{receiver.grpc_port}"
    if services:
        yield Finding("ok", "data", f"{len(services)} services in the past hour: {', '.join(services[:8])}")
    else:
        yield Finding("note", "data", f"none in the past hour; point a model API's exporter at {endpoint}")


def _containers(settings: Settings) -> Iterator[Finding]:
    if not settings.containers.is_enabled:
        yield Finding("note", "containers", "not watched by `up`: MODELWATCH_CONTAINERS__IS_ENABLED is off")
        return
    state, text = asyncio.run(look_for_engine(settings.containers, os.environ.get("DOCKER_HOST", "")))
    yield Finding(state, "containers", text)


def _instrumentation(_settings: Settings) -> Iterator[Finding]:
    command = shutil.which(
        "opentelemetry-instrument", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    )
    if command:
        yield Finding("ok", "instrumentation", "opentelemetry-instrument is installed here")
    else:
        yield Finding("note", "instrumentation", "not installed here; model APIs need modelwatch-instrumentation")


def _can_write_below(folder: Path) -> bool:
    """Tell whether files can be made in the folder, or in the nearest that exists above it."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return True
    except OSError:
        return False


def _bind_error(host: str, port: int) -> int | None:
    """Return why nothing can be bound there, as an `errno` value; `None` if it can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror:
            return errno.EADDRNOTAVAIL
        except OSError as error:
            return error.errno
        return None


def _is_modelwatch(host: str, port: int) -> bool:
    return _get(host, port, "/healthz") == {"status": "alive"}


def _get(host: str, port: int, path: str) -> object:
    """Return the JSON of a successful answer, `None` for anything else."""
    body = body_at(host, port, path, TIMEOUT_S)
    try:
        return None if body is None else json.loads(body)
    except ValueError:
        return None

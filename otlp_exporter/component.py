"""Makes the parts of forwarding: for each target a delivery, and a feed from the queue that it has.

The table of roles chooses the feed: RabbitMQ's queues where there is a broker, a queue on disk where there is none.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from pathlib import Path

import psutil
import structlog
from pydantic import SecretStr

from otlp_exporter.answers import Sender
from otlp_exporter.certificates import ssl_context
from otlp_exporter.delivery import Delivery
from otlp_exporter.disk_feed import DiskFeed, ForwardingConsumer
from otlp_exporter.disk_queue import DiskQueue
from otlp_exporter.disk_undecided import Deciding
from otlp_exporter.grpc_sender import GrpcSender
from otlp_exporter.http_sender import HttpSender
from otlp_exporter.installation import installation_id
from otlp_exporter.local_sending import LocalSending
from otlp_exporter.rabbit_feed import RabbitFeed
from otlp_exporter.refused_files import FOLDER, RefusedFiles
from otlp_exporter.remote_sending import RemoteSending, no_preparation
from otlp_exporter.settings import ExporterSettings
from otlp_exporter.target_settings import TargetSettings
from otlp_exporter.together import Together
from rabbitmq import RabbitSettings
from telemetry import Consumer, Counters, Signal, StartError

_log = structlog.get_logger(__name__)


def build_rabbit_feeds(
    settings: ExporterSettings, rabbit_settings: RabbitSettings, url: SecretStr, counters: Counters, data_dir: Path
) -> list[RabbitFeed]:
    """Return a feed for each target, not yet started; they stop `Together`. Raises `StartError`."""
    return [
        RabbitFeed(delivery, settings, rabbit_settings, url, counters)
        for delivery in build_deliveries(settings, counters, data_dir)
    ]


def build_disk_feeds(
    settings: ExporterSettings,
    consumer: Consumer,
    counters: Counters,
    data_dir: Path,
    prepare: Callable[[], None] = no_preparation,
) -> tuple[ForwardingConsumer, list[DiskQueue | LocalSending | RemoteSending | Together | Deciding]]:
    """Return the consumer that stands before `consumer`, and what must run for it, the queue first.

    `prepare` is called in the process that sends, if that is one of its own. Raises `StartError`.
    """
    counters.declare("forward_asked_again_items", signal=tuple(signal.value for signal in Signal))
    queue = DiskQueue(data_dir, settings.targets, counters)
    sending: LocalSending | RemoteSending
    if settings.own_process:
        for target in settings.targets:
            check_target(target, counters)
        sending = RemoteSending(settings, data_dir, counters, prepare)
    else:
        sending = LocalSending(build_deliveries(settings, counters, data_dir), queue)
    feeds = [DiskFeed(target, queue, settings, sending.send) for target in settings.targets]
    running = [queue, sending, Together(feeds), Deciding(consumer, queue, counters)]
    return ForwardingConsumer(consumer, queue, settings.targets), running


def build_deliveries(settings: ExporterSettings, counters: Counters, data_dir: Path) -> list[Delivery]:
    """Return what brings batches to each target. Raises `StartError` when its files cannot be read."""
    own_id = settings.installation_id or installation_id(data_dir)
    return [_delivery(target, settings, counters, data_dir, own_id) for target in settings.targets]


def check_target(target: TargetSettings, counters: Counters) -> None:
    """Raise `StartError` for files that cannot be used, and let all figures of a target read 0."""
    headers = target.all_headers()
    if target.is_secure:
        ssl_context(target)
    elif headers and not _is_loopback(target.address[0]):
        _log.warning("a target gets headers in the clear: use https://", target=target.name, endpoint=target.endpoint)
    _declare_series(target, counters)


def _delivery(
    target: TargetSettings, settings: ExporterSettings, counters: Counters, data_dir: Path, own_id: str
) -> Delivery:
    check_target(target, counters)
    sender: Sender = GrpcSender(target) if target.protocol == "grpc" else HttpSender(target)
    refused = RefusedFiles(data_dir / FOLDER / target.name, settings.refused_max_bytes)
    return Delivery(target, settings, sender, refused, counters, own_id)


def refuse_own_ports(settings: ExporterSettings, ports: Collection[int]) -> None:
    """Raise `StartError` for a target that is the receiver of this very process: all data would go round for ever."""
    for target in settings.targets:
        host, port = target.address
        if port in ports and _is_this_machine(host):
            raise StartError(
                f"target {target.name!r} is this receiver itself ({target.endpoint}): data would go round in a circle; "
                "set MODELWATCH_EXPORTER__TARGETS"
            )


def _declare_series(target: TargetSettings, counters: Counters) -> None:
    by_signal = {"target": (target.name,), "signal": tuple(signal.value for signal in Signal if target.gets(signal))}
    counters.declare("forward_sent_batches", **by_signal)
    counters.declare("forward_sent_items", **by_signal)
    counters.declare("forward_sent_bytes", **by_signal)
    counters.declare("forward_rejected_items", **by_signal)
    counters.declare("forward_refused_items", **by_signal)
    counters.declare("forward_filtered_items", **by_signal)
    counters.declare("forward_duplicate_items", **by_signal)
    counters.declare("forward_circled_items", **by_signal, reason=("returned", "hops"))
    counters.declare("forward_dropped_items", **by_signal, reason=("full", "expired", "disk", "unreadable"))


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _is_this_machine(host: str) -> bool:
    if _is_loopback(host) or host in ("0.0.0.0", "::"):
        return True
    own = {address.address.partition("%")[0] for found in psutil.net_if_addrs().values() for address in found}
    try:
        resolved = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return False  # not there yet; what has the same content is not sent twice to one target
    return bool(own & resolved)

"""The container statistics of a role: what they hand their metrics to, and whose processes they look for.

Used by `assembly`. In a process with a receiver they hand metrics to what that hands its data to, as a call within the
process needs no port, key or certificate; in any other they are an OTLP client of the receiver. Without a history they
ask the API for the instances of services, if they are told where it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from container_stats.settings import ContainerSettings
from modelwatch.settings import Settings
from otlp_receiver.key_file import read_keys
from telemetry import Consumer, Counters

if TYPE_CHECKING:
    from container_stats.component import ContainerStats
    from container_stats.watched_process import FindWatched, WatchedProcess
    from storage.instance_ports import InstanceHistory


def build_containers(
    settings: Settings, counters: Counters, consumer: Consumer | None, history: InstanceHistory | None
) -> ContainerStats:
    """Return the component; with an endpoint in its settings it sends there, whatever `consumer` is.

    Raises `StartError` if an address is of no use.
    """
    from container_stats.component import build

    own = settings.containers
    if own.endpoint or consumer is None:
        consumer, own = None, _with_endpoint(settings)
    return build(
        own,
        counters,
        consumer=consumer,
        docker_host=os.environ.get("DOCKER_HOST", ""),  # every client of the engine goes by it
        find_watched=_find_watched(history) if history is not None else None,
    )


def _find_watched(history: InstanceHistory) -> FindWatched:
    from container_stats.watched_process import HEARD_OF_S, watched_process_of

    async def find() -> Sequence[WatchedProcess]:
        seen = await history.instances(int(time.time()) - HEARD_OF_S)
        return [process for process in map(watched_process_of, seen) if process is not None]

    return find


def _with_endpoint(settings: Settings) -> ContainerSettings:
    """Return the settings of a client of the receiver on this host, unless they name another endpoint."""
    own, receiver = settings.containers, settings.receiver
    if own.endpoint:
        return own
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(receiver.host, receiver.host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    scheme = "https" if receiver.tls_cert_file else "http"
    update: dict[str, object] = {"endpoint": f"{scheme}://{host}:{receiver.http_port}"}
    if "headers" not in own.model_fields_set:
        file = settings.ingest_keys_file
        keys = settings.ingest_keys or (read_keys(file) if file else ())
        if keys:
            update["headers"] = type(own.headers)(f"x-modelwatch-key={keys[0].get_secret_value()}")
    return own.model_copy(update=update)

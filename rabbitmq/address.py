"""The broker's URL, read for pika and written for people.

The only place that opens the secret; what leaves it for a log or a message has no password.
"""

from __future__ import annotations

from urllib.parse import quote

import pika
from pydantic import SecretStr

from rabbitmq.settings import RabbitSettings
from telemetry import StartError


def parameters_of(url: SecretStr, settings: RabbitSettings, name: str) -> pika.URLParameters:
    """Return pika's parameters; `name` is what operators see beside the connection. Raises `StartError`.

    The URL is never repeated in the error: where it cannot be read, its password cannot be told from the rest.
    """
    text = url.get_secret_value()
    try:
        if not text.startswith(("amqp://", "amqps://")):
            raise ValueError
        parameters = pika.URLParameters(text)
    except (ValueError, IndexError, TypeError):
        raise StartError(
            "the broker's address is not of the form amqp://user:password@host:5672/vhost, "
            "with reserved characters percent-encoded: set MODELWATCH_BROKER_URL"
        ) from None
    parameters.heartbeat = settings.heartbeat_s
    # A host may have a second address, which gets its turn only when the first gives up in time.
    parameters.socket_timeout = settings.connect_timeout_s / 2
    parameters.stack_timeout = None
    parameters.blocked_connection_timeout = None
    parameters.client_properties = {"connection_name": name}
    return parameters


def redacted(parameters: pika.URLParameters) -> str:
    """Return the URL without its password."""
    scheme = "amqps" if parameters.ssl_options else "amqp"
    user = quote(parameters.credentials.username, safe="")
    return f"{scheme}://{user}:***@{parameters.host}:{parameters.port}/{quote(parameters.virtual_host, safe='')}"

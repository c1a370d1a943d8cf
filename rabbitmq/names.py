"""All names that the room shows to others; loaded when the first of them is asked for."""

from rabbitmq.backoff import pause_s
from rabbitmq.confirms import Verdict
from rabbitmq.connection import Channel, Connection
from rabbitmq.export_queue import ExportQueueLimits, declare_export_queue, drop_of, export_queue_of, waiting_in
from rabbitmq.link import RabbitLink
from rabbitmq.message import Message, batch_of, dead_letter_of, message_of, returns_of, signal_of
from rabbitmq.publisher import ConfirmedPublisher, PublishLimits
from rabbitmq.settings import RabbitSettings
from rabbitmq.subscription import Subscription
from rabbitmq.topology import declare_topology

__all__ = [
    "Channel",
    "ConfirmedPublisher",
    "Connection",
    "ExportQueueLimits",
    "Message",
    "PublishLimits",
    "RabbitLink",
    "RabbitSettings",
    "Subscription",
    "Verdict",
    "batch_of",
    "dead_letter_of",
    "declare_export_queue",
    "declare_topology",
    "drop_of",
    "export_queue_of",
    "message_of",
    "pause_s",
    "returns_of",
    "signal_of",
    "waiting_in",
]

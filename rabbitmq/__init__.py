"""What everyone who speaks with RabbitMQ shares: the connection, the topology, the form of a message.

Below the exporter and the processor, which use it from the two ends of the queue; it knows neither of them.
Its settings are read by every process, so that all else is loaded only where it is used.
"""

from typing import TYPE_CHECKING

from telemetry.late_names import late_names

if TYPE_CHECKING:
    from rabbitmq.names import *  # noqa: F403 (which names, that module says)
else:  # what checks types would take any name for one that there is
    __getattr__ = late_names(__name__, lambda _name: "rabbitmq.names")

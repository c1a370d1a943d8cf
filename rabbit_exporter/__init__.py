"""The way out of a receiver in the distributed size: batches to RabbitMQ, confirmed.

Stands behind `otlp_receiver` as its consumer; on the far side of the queue stands the processor's RabbitMQ source.
"""

from rabbit_exporter.component import RabbitExporter, build
from rabbit_exporter.settings import RabbitExporterSettings

__all__ = ["RabbitExporter", "RabbitExporterSettings", "build"]

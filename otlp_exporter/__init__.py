"""The way to other OpenTelemetry backends: what came in is forwarded unchanged, to each from a queue of its own.

Distributed, the queues are RabbitMQ's, beside the processors'; embedded, they are on disk, behind the receiver.
"""

"""The way out of a receiver in the distributed size: batches to RabbitMQ, confirmed.

Stands behind `otlp_receiver` as its consumer; on the far side of the queue stands the processor's RabbitMQ source.
Import from its modules: the settings are read by every process, the rest loaded only where it runs.
"""

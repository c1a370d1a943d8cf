"""The names on RabbitMQ that publishers and consumers, ours and the Collector's, agree on."""

from typing import Final

EXCHANGE: Final = "modelwatch.otlp"
"""Durable topic exchange; the routing key is the signal's name."""
PROCESSOR_QUEUE: Final = "modelwatch.processor"
"""Durable quorum queue, bound for every signal."""
DEAD_LETTER_EXCHANGE: Final = "modelwatch.dead"
DEAD_LETTER_QUEUE: Final = "modelwatch.dead"
EXPORT_QUEUE_PREFIX: Final = "modelwatch.export."
"""Of the quorum queues of forwarding targets; the name of the target follows."""
EXPORT_DROPPED_QUEUE: Final = "modelwatch.export-dropped"
"""What those queues dropped, to be counted."""

CONTENT_TYPE: Final = "application/x-protobuf"
REASON_HEADER: Final = "x-modelwatch-reason"
"""On a dead letter: one sentence that says why it is there."""
ITEM_COUNT_HEADER: Final = "x-modelwatch-item-count"
RECEIVED_HEADER: Final = "x-modelwatch-received-unix-nano"

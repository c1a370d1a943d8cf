"""The metrics that ModelWatch derives from spans, and the states of its alerts, as OTLP for the targets that want them.

Beside the way of forwarded data: read out of the history through `query`, handed to the same queues.
"""

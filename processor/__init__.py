"""The heart: spans in, RED points out, each batch counted once.

Takes batches from the receiver or from RabbitMQ, and commits what it derives to the store.
"""

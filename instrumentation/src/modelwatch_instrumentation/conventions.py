"""The attribute keys that are ours, because OpenTelemetry has no convention for what they say."""

from typing import Final

MODEL_NAME: Final = "ml.model.name"
MODEL_VERSION: Final = "ml.model.version"

FIRST_BYTE_S: Final = "modelwatch.response.first_byte_s"
"""Seconds from the request's arrival to the first byte of a streamed body."""

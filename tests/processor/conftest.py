"""What the processor's tests share: decoders with small or ordinary caches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from processor.component import build_decoder
from processor.settings import ProcessorSettings
from processor.span_columns import SpanDecoder


@pytest.fixture
def make_decoder() -> Callable[..., SpanDecoder]:
    """Make a decoder; keywords are settings."""

    def make(**settings: Any) -> SpanDecoder:
        return build_decoder(ProcessorSettings(**settings))

    return make


@pytest.fixture
def decoder(make_decoder: Callable[..., SpanDecoder]) -> SpanDecoder:
    return make_decoder()

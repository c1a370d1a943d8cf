"""What tests ask real OTLP clients to do, and what these report; the same for every language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Export:
    """One export of `count` items named `<prefix> 0`, `<prefix> 1`, …; the exporter is shut down after it."""

    signal: str
    transport: str
    """`grpc`, `http/json` or `http/protobuf`."""
    endpoint: str
    """Without a path, such as `http://127.0.0.1:4318`."""
    prefix: str = "item"
    count: int = 3
    invalid: int = 0
    """How many of the items, the first ones, are invalid by themselves: spans with a trace id of zeros."""
    timeout_s: float = 8.0
    """The exporter's own, for all attempts together."""
    compression: str = "none"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"{self.prefix} {at}" for at in range(self.count)]


@dataclass(frozen=True)
class Report:
    """What the exporter made of the answers that it got."""

    is_success: bool
    error: str | None = None
    warnings: tuple[str, ...] = ()
    """What it logged as a warning or worse, where the client tells."""


class Client(Protocol):
    @property
    def language(self) -> str: ...

    def export(self, *exports: Export) -> list[Report]:
        """Run the exports at the same time; return their reports in the given order. Blocks, within their timeouts."""
        ...

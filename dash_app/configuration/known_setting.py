"""A setting as people are shown it; made in `modelwatch/`, which alone knows the whole tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["environment", "file", "default"]


@dataclass(frozen=True, slots=True)
class KnownSetting:
    """One setting of the process that serves the page. `value` of a secret is only whether it is set.

    `path` is where it stands in `modelwatch.yaml`, with dots; `variable` its name in the environment.
    """

    path: str
    variable: str
    value: str
    default: str
    source: Source
    description: str
    is_secret: bool = False

    @property
    def section(self) -> str:
        """The part of the tree that it belongs to; empty for the root."""
        return self.path.rpartition(".")[0]

    @property
    def is_changed(self) -> bool:
        """Whether somebody set it."""
        return self.source != "default"

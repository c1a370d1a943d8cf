"""What the environment says about model spans, read once in each process."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

MODE_VARIABLE: Final = "OTEL_PYTHON_MODEL_SPANS"
INPUTS_VARIABLE: Final = "OTEL_PYTHON_MODEL_SPANS_INPUTS"
OUTPUT_VARIABLE: Final = "OTEL_PYTHON_MODEL_SPANS_OUTPUT"
REDACT_VARIABLE: Final = "OTEL_PYTHON_MODEL_SPANS_REDACT"

ALWAYS_REDACTED: Final = frozenset(
    {"apikey", "authorization", "cookie", "credential", "email", "passwd", "password"}
    | {"phone", "secret", "ssn", "token"}
)
"""Fields with one of these in their names are never sent, whoever asked for them."""

_logger = logging.getLogger(__name__)


class Mode(StrEnum):
    """When calls are recorded: within a recording trace, also by themselves (batch jobs), or never."""

    REQUEST = "request"
    ALWAYS = "always"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class ModelSpanSettings:
    """Nothing of a model's data is kept unless it is asked for."""

    mode: Mode = Mode.REQUEST
    inputs: tuple[str, ...] = ()
    keeps_output: bool = False
    redacted: frozenset[str] = ALWAYS_REDACTED


def read_settings(environ: Mapping[str, str]) -> ModelSpanSettings:
    """Return the settings; a mode that does not exist is said in the log, and the default holds."""
    raw = environ.get(MODE_VARIABLE, "").strip().lower() or Mode.REQUEST
    if raw not in set(Mode):
        _logger.warning("%s=%s is none of %s; request it is", MODE_VARIABLE, raw, ", ".join(Mode))
        raw = Mode.REQUEST
    return ModelSpanSettings(
        mode=Mode(raw),
        inputs=tuple(dict.fromkeys(_names(environ.get(INPUTS_VARIABLE, "")))),
        keeps_output=environ.get(OUTPUT_VARIABLE, "").strip().lower() == "true",
        redacted=ALWAYS_REDACTED | {folded(name) for name in _names(environ.get(REDACT_VARIABLE, ""))},
    )


@cache
def settings() -> ModelSpanSettings:
    """Return the settings of this process."""
    return read_settings(os.environ)


def folded(name: str) -> str:
    """Return a field's name as names are compared: without case, `_`, `-`, `.` and spaces."""
    return "".join(character for character in name.lower() if character not in "_-. ")


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]

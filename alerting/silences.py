"""Silences and maintenance windows: which alerts are not told, from when to when, and why.

Written by the API and the page, read by the evaluator before each round.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from alerting.patterns import pattern_of
from alerting.rules import DAY_S, as_kept
from storage.alert_documents import AlertDocuments, SilenceRow
from telemetry import NowNs, PermanentError

_MS_PER_S: Final = 1_000
_NS_PER_MS: Final = 1_000_000
_LONGEST_S: Final = 366 * DAY_S
_LABEL_CHARS: Final = 256
LAST_S: Final = 253_402_300_799
"""The last second that a date has: 9999-12-31T23:59:59Z."""


class UnknownSilenceError(PermanentError):
    """There is no silence of this id that has not ended."""


class TooManySilencesError(PermanentError):
    """There is no room for another silence."""


class Silence(BaseModel):
    """Alerts that match are not told from `starts_s` to `ends_s`; they go on being evaluated and shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    silence_id: str = Field(default_factory=lambda: secrets.token_hex(8), pattern=r"^[0-9a-f]{16}$")
    rule: str = Field(
        "*", min_length=1, max_length=_LABEL_CHARS, description="Id of the rule; `*` stands for anything."
    )
    labels: Mapping[str, str] = Field(
        {},
        max_length=20,
        description="Labels of the alert and the values that they must have; `*` stands for anything. An alert has "
        "those that its rule groups by, and those that its scope gives without `*`.",
        examples=[{"service": "churn-*"}],
    )
    severity: Literal["warning", "critical"] | None = Field(None, description="Only of this severity.")
    starts_s: float = Field(ge=0, allow_inf_nan=False)
    ends_s: float = Field(ge=0, allow_inf_nan=False, description="At most the last second of the year 9999.")
    comment: str = Field(min_length=1, max_length=2_000, description="Why; shown to everybody.")
    created_by: str = Field("", max_length=200)
    created_s: float = Field(0.0, ge=0)

    @field_validator("labels")
    @classmethod
    def _as_kept(cls, labels: Mapping[str, str]) -> Mapping[str, str]:
        return as_kept(labels)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ends_s <= self.starts_s:
            raise ValueError("ends: must be after the start")
        if self.ends_s > LAST_S:
            raise ValueError("ends: must be before the year 10000")
        if self.ends_s - self.starts_s > _LONGEST_S:
            raise ValueError("ends: at most a year after the start")
        if self.rule == "*" and not self.labels and self.severity is None:
            raise ValueError('labels: would silence everything; say {"service": "*"} if that is meant')
        if any(len(name) > _LABEL_CHARS or len(value) > _LABEL_CHARS for name, value in self.labels.items()):
            raise ValueError(f"labels: names and values have at most {_LABEL_CHARS} characters")
        return self

    def is_active(self, now_s: float) -> bool:
        """Tell whether it is in force."""
        return self.starts_s <= now_s < self.ends_s

    def matches(self, rule_id: str, labels: Mapping[str, str], severity: str | None) -> bool:
        """Tell whether an alert is meant. A label that the alert does not have is the empty text."""
        return (
            _is_like(rule_id, self.rule)
            and self.severity in (None, severity)
            and all(_is_like(labels.get(name, ""), wanted) for name, wanted in self.labels.items())
        )


def _is_like(value: str, wanted: str) -> bool:
    pattern = pattern_of(wanted)
    return value == pattern if isinstance(pattern, str) else pattern.fullmatch(value) is not None


class Silences:
    """The silences that have not ended. What reads or writes raises `StorageUnavailableError`."""

    def __init__(self, max_silences: int, documents: AlertDocuments, now_ns: NowNs = time.time_ns) -> None:
        self._max_silences = max_silences
        self._documents = documents
        self._now_ns = now_ns

    async def silences(self) -> list[Silence]:
        """Return all that are in force or will be, those that end first first."""
        rows = await self._documents.silences(self._now_ms())
        found = []
        for row in sorted(rows, key=lambda row: (row.ends_ms, row.silence_id)):
            try:
                found.append(Silence.model_validate_json(row.document))
            except ValidationError:
                continue  # of a newer ModelWatch; to tell too much is better than to end the others
        return found

    async def add(self, silence: Silence) -> Silence:
        """Write a silence. Raises `TooManySilencesError`."""
        if len(await self.silences()) >= self._max_silences:
            raise TooManySilencesError(f"there are {self._max_silences} silences: end some of them first")
        made = silence.model_copy(update={"created_s": self._now_ms() / _MS_PER_S})
        await self._put(made)
        return made

    async def end(self, silence_id: str) -> Silence:
        """End a silence now. Raises `UnknownSilenceError`."""
        found = next((one for one in await self.silences() if one.silence_id == silence_id), None)
        if found is None:
            raise UnknownSilenceError(f"there is no silence {silence_id!r} that has not ended")
        now_s = self._now_ms() / _MS_PER_S
        ended = found.model_copy(update={"ends_s": now_s, "starts_s": min(found.starts_s, now_s)})
        await self._put(ended)
        return ended

    async def _put(self, silence: Silence) -> None:
        ends_ms = round(silence.ends_s * _MS_PER_S)
        await self._documents.put_silence(SilenceRow(silence.silence_id, ends_ms, silence.model_dump_json()))

    def _now_ms(self) -> int:
        return self._now_ns() // _NS_PER_MS


def silenced_by(
    silences: Sequence[Silence], now_s: float, rule_id: str, labels: Mapping[str, str], severity: str | None
) -> Silence | None:
    """Return the silence that is in force for an alert the longest, `None` if none is."""
    found = [one for one in silences if one.is_active(now_s) and one.matches(rule_id, labels, severity)]
    return max(found, key=lambda one: one.ends_s, default=None)

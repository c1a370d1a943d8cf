"""The shapes of what the API takes and answers about settings that may be changed while ModelWatch runs.

`api/setting_routes.py` fills them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from api.models import Document, NextCursor, Time


class Setting(Document):
    """A setting that may be changed while ModelWatch runs."""

    name: str = Field(description="Its path in `modelwatch.yaml`.", examples=["query.apdex_target_s"])
    variable: str = Field(description="Its name in the environment.", examples=["MODELWATCH_QUERY__APDEX_TARGET_S"])
    value: Any = Field(description="What holds now, in the process that answers.")
    start_value: Any = Field(description="What that process was started with; where there is no change, it holds.")
    is_changed: bool = Field(description="Whether a change stands over that.")
    value_schema: dict[str, Any] = Field(description="JSON schema of the value: its type and bounds.")
    description: str
    honoured_by: list[str] = Field(description="Roles that take a change up within seconds; `up` has them all.")
    changed_by: str | None = Field(description="Who made the latest change, also if it put the setting back.")
    changed: Time | None = Field(description="When that was.")
    failure: str = Field(description="Why the change does not hold in the process that answers; empty if it does.")


class Settings(Document):
    """All of them."""

    items: list[Setting]


class SettingChange(Document):
    """A change that was made."""

    name: str
    before: Any = Field(description="What held before, in the process that was asked for the change.")
    value: Any = Field(description="What it was changed to; `null` if it was put back.")
    is_reset: bool = Field(description="Whether every process went back to what it was started with.")
    by: str
    at: Time


class SettingChanges(Document):
    """Changes, the latest first."""

    items: list[SettingChange]
    next_cursor: NextCursor


class NewValue(BaseModel, extra="forbid"):
    """What a setting is to be."""

    value: Any = Field(description="Within the bounds of `value_schema`.", examples=[0.25])
    by: str = Field("", max_length=200, description="Who changes it, where nobody has to log in.")

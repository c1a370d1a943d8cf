"""How alerts are evaluated, kept and sent; the rules themselves are data, written on the page, by API or file.

Part of the settings tree in `modelwatch/`.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from alerting.channels.addresses import networks_from_text
from alerting.channels.settings import ChannelSettings, channels_from_text, check_names

DAY_S = 86_400


class AlertingSettings(BaseModel, frozen=True, extra="forbid"):
    """The evaluator, its bounds, and the outbox."""

    is_enabled: bool = Field(True, description="Evaluate alerts in `up` and `demo`; `modelwatch alerts` always does.")
    default_rules: bool = Field(True, description="Have the built-in rules; each can also be changed or turned off.")
    page_url: str = Field(
        "",
        max_length=500,
        pattern=r"^(https?://[^\s]+)?$",
        description="Where people reach the pages, such as `https://modelwatch.example.com`; links in notifications "
        "begin with it.",
    )
    max_rules: int = Field(1_000, ge=1, le=10_000, description="The most rules that may be kept.")
    max_silences: int = Field(1_000, ge=1, le=100_000, description="The most silences that may be kept.")
    max_groups: int = Field(
        10_000,
        ge=1,
        le=100_000,
        description="The most groups that one question of the evaluator keeps apart; the smallest beyond it are one.",
    )
    max_open_alerts: int = Field(
        10_000,
        ge=1,
        description="The most alerts that are open at once; beyond it no further one begins, and it is said.",
    )
    below_settle_s: int = Field(
        10,
        ge=0,
        le=300,
        description="Seconds before now at which the window of a rule with `below` ends, as the latest calls may still "
        "be on their way: senders export every 5 s.",
    )
    max_lag_s: float = Field(
        30.0, gt=0, description="Seconds that processors may be behind before states are frozen instead of judged."
    )
    silent_processor_s: float = Field(
        15.0, ge=3, description="Seconds without a sign of any processor after which states are frozen."
    )
    lease_s: float = Field(
        6.0, ge=1, le=60, description="Seconds without a sign of the evaluator after which another process takes over."
    )
    max_gap_s: float = Field(
        30.0,
        ge=1,
        description="Pauses between evaluations longer than this (and than three intervals) do not count towards `for` "
        "and `keep_firing_for`: nobody looked.",
    )
    flapping_changes: int = Field(
        4, ge=2, le=100, description="Changes within `flapping_window_s` from which on an alert is flapping."
    )
    flapping_window_s: float = Field(
        900.0, ge=10, description="Seconds over which changes are counted; a flapping alert ends after as long in calm."
    )
    group_interval_s: float = Field(
        60.0, ge=0, description="Seconds between two notifications about one group, unless it becomes more severe."
    )
    repeat_interval_s: float = Field(
        4 * 3_600.0,
        ge=60,
        description="Seconds after which an alert that is still firing is told again, unless a rule says otherwise.",
    )
    max_items: int = Field(20, ge=1, le=200, description="The most alerts that one notification names.")
    no_data_gone_s: float = Field(
        3_600.0,
        ge=60,
        description="Seconds without data after which an alert that fired is closed, the thing being gone.",
    )
    evidence_timeout_s: float = Field(
        2.0, gt=0, le=30, description="Seconds that the search for evidence may hold up a notification."
    )
    channels: Annotated[
        tuple[ChannelSettings, ...], BeforeValidator(channels_from_text), AfterValidator(check_names)
    ] = Field(
        (),
        max_length=32,
        description="Where notifications go, as YAML: `[{name: oncall, url: 'slack://…', min_severity: critical}]`; "
        "[alert-channels.md](alert-channels.md) has the fields of a channel.",
    )
    channel_files_dir: Path | None = Field(
        None,
        description="Folder of files with URLs and secrets that channels made on the page may name; no other file can "
        "be. Unset: none can. Where evaluator and dashboard are processes of their own, both need it.",
    )
    allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(networks_from_text)] = Field(
        (),
        description="Networks besides the public ones that notifications may be sent to, separated by commas, such as "
        "`10.20.0.0/16,127.0.0.1/32` for a mail server inside.",
    )
    webhook_ca_file: Path | None = Field(
        None, description="File of certificates (PEM) that are trusted for webhooks besides the usual ones."
    )
    send_timeout_s: float = Field(20.0, gt=0, le=120, description="Seconds that one attempt to deliver may take.")
    retry_min_s: float = Field(
        2.0, gt=0, description="First pause in seconds before a delivery is tried again; doubles."
    )
    retry_max_s: float = Field(
        60.0,
        gt=0,
        description="Longest pause in seconds before a delivery is tried again; longer where the target asks for it.",
    )
    give_up_after_s: float = Field(
        6 * 3_600.0, gt=0, description="Seconds after which a notification that no one took is given up, visibly."
    )
    retention_s: float = Field(
        90.0 * DAY_S, ge=3_600, description="Seconds for which transitions and delivered notifications are kept."
    )
    stop_timeout_s: float = Field(3.0, gt=0, le=60, description="Seconds that a delivery under way is given at a stop.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.retry_max_s < self.retry_min_s:
            raise ValueError("retry_max_s must not be shorter than retry_min_s")
        return self

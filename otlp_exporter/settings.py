"""The settings of forwarding: the targets, and how patient each of their queues is.

`modelwatch/` fills them from `modelwatch.yaml` and `MODELWATCH_EXPORTER__…`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from otlp_exporter.target_settings import MEBIBYTE, TargetSettings, check_names, targets_from_text


class ExporterSettings(BaseModel, frozen=True, extra="forbid"):
    """Where data is forwarded to."""

    targets: Annotated[tuple[TargetSettings, ...], BeforeValidator(targets_from_text), AfterValidator(check_names)] = (
        Field(
            (),
            max_length=16,
            description="The backends that data is forwarded to, as YAML or JSON: "
            "`[{name: jaeger, endpoint: 'http://jaeger:4317', signals: [traces]}]`; "
            "[forwarding.md](forwarding.md) has the "
            "fields of a target.",
        )
    )
    retry_min_s: float = Field(
        1.0, gt=0, le=60, description="First pause in seconds after a target failed for now; doubles with each failure."
    )
    retry_max_s: float = Field(
        30.0, gt=0, le=3600, description="Longest pause in seconds; longer where the target asks for it, up to an hour."
    )
    refused_max_bytes: int = Field(
        64 * MEBIBYTE,
        ge=0,
        description="Size in bytes of what each target refused for good, kept as files below `export-refused/` in the "
        "data folder; beyond it the oldest are deleted.",
    )
    remembered_batches: int = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="How many of the latest batches that a target took are known by their content and not sent again.",
    )
    installation_id: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{16}$",
        description="16 hexadecimal digits by which exporters know again what they forwarded; the same for those of "
        "one RabbitMQ that share no data folder. Unset: drawn once, and kept as `installation-id` in the data folder.",
    )
    max_hops: int = Field(
        8,
        ge=1,
        le=16,
        description="How many installations of ModelWatch may have forwarded a batch before it goes no further.",
    )
    own_process: bool = Field(
        True,
        description="Without RabbitMQ: compress and send in a process of its own, so that ingest shares no interpreter "
        "with it. `false` saves about 60 MB of memory.",
    )
    niceness: int = Field(
        19,
        ge=0,
        le=19,
        description="How much that process gives way while all processors are busy, as `nice` has it: at 19 it has a "
        "hundredth of what ingest has, at 10 a tenth. The queue on disk grows meanwhile, and is sent later.",
    )
    unused_queue_expires_s: int = Field(
        7 * 86_400,
        ge=3600,
        le=2_000_000,
        description="Seconds without an exporter after which RabbitMQ deletes a target's queue with what it holds, "
        "such as that of a target that was taken out.",
    )
    stop_grace_s: float = Field(3.0, ge=0, le=60, description="Seconds that requests under way are given at a stop.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.retry_max_s < self.retry_min_s:
            raise ValueError("retry_max_s must not be shorter than retry_min_s")
        return self

"""The settings tree: every room's settings under one root.

Filled by `modelwatch/settings_sources.py`; `docs/settings.md` is generated from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, model_validator

from access.settings import AccessSettings
from alerting.settings import AlertingSettings
from api.settings import ApiSettings
from container_stats.settings import ContainerSettings
from dash_app.settings import DashSettings
from modelwatch.demo_settings import DemoSettings
from modelwatch.logs import LogSettings
from modelwatch.query_command.settings import ClientSettings
from otlp_exporter.settings import ExporterSettings
from otlp_receiver.settings import ReceiverSettings
from processor.rabbit_source_settings import RabbitSourceSettings
from processor.settings import ProcessorSettings
from query.settings import QuerySettings
from rabbit_exporter.settings import RabbitExporterSettings
from rabbitmq.settings import RabbitSettings
from self_watch.settings import SelfWatchSettings
from storage.settings import StorageSettings
from tuning.settings import TuningSettings


def _split_commas(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    keys = tuple(part.strip() for part in value.split(","))
    if not all(keys):
        # An empty file must not open the receiver that somebody meant to close.
        raise ValueError("holds an empty key; unset it if senders need none")
    return keys


class HealthSettings(BaseModel, frozen=True, extra="forbid"):
    """Where a role without the API answers for its health and metrics."""

    host: str = Field("127.0.0.1", description="Address of `/healthz`, `/readyz` and `/metrics`.")
    port: int = Field(13133, ge=0, le=65535, description="Port of the same; 0 turns it off.")
    allow_unauthenticated: bool = Field(
        False,
        description="Listen on an address other than loopback; health and counters are not secret, but not public.",
    )


class Settings(BaseModel, frozen=True, extra="forbid"):
    """Everything that can be set."""

    data_dir: Path = Field(Path("modelwatch-data"), description="Folder for the SQLite file and logs.")
    database_url: SecretStr | None = Field(
        None,
        description="History: `sqlite:///path` or `postgresql+psycopg://user:password@host/database`. "
        "Unset: `modelwatch.db` in the data folder.",
    )
    broker_url: SecretStr | None = Field(
        None,
        description="RabbitMQ between receiver and processor: `amqp://user:password@host/vhost`. Unset: a direct call.",
    )
    live_url: SecretStr | None = Field(
        None,
        description="Live feed: `redis://host:6379/0`, the same for every process that shares a database. Unset: in "
        "the process itself, or, with a broker, none; then everything is answered from the history, in steps of 10 s.",
    )
    ingest_keys: Annotated[tuple[SecretStr, ...], BeforeValidator(_split_commas)] = Field(
        (),
        description="Keys that OTLP clients must send, separated by commas: as `Authorization: Bearer KEY` or "
        "`x-modelwatch-key: KEY`. Without any, and without a file of them, the receiver listens on loopback only.",
    )
    ingest_keys_file: Path | None = Field(
        None,
        description="File of further keys, separated by commas or line ends, with comments after `#`. It is read again "
        "while the receiver runs: a key added or removed counts within two seconds.",
    )
    health: HealthSettings = HealthSettings()
    log: LogSettings = LogSettings()
    receiver: ReceiverSettings = ReceiverSettings()
    rabbitmq: RabbitSettings = RabbitSettings()
    rabbit_exporter: RabbitExporterSettings = RabbitExporterSettings()
    rabbit_source: RabbitSourceSettings = RabbitSourceSettings()
    processor: ProcessorSettings = ProcessorSettings()
    exporter: ExporterSettings = ExporterSettings()
    containers: ContainerSettings = ContainerSettings()
    storage: StorageSettings = StorageSettings()
    query: QuerySettings = QuerySettings()
    alerts: AlertingSettings = AlertingSettings()
    api: ApiSettings = ApiSettings()
    access: AccessSettings = AccessSettings()
    dash: DashSettings = DashSettings()
    self_watch: SelfWatchSettings = SelfWatchSettings()
    tuning: TuningSettings = TuningSettings()
    demo: DemoSettings = DemoSettings()
    client: ClientSettings = ClientSettings()

    @model_validator(mode="after")
    def _knows_batches_for_as_long_as_they_may_count(self) -> Self:
        if self.processor.max_late_s > self.storage.batch_ids_retention_s:
            raise ValueError(
                "processor.max_late_s must not be longer than storage.batch_ids_retention_s: "
                "a batch that comes again after its id is forgotten would count twice"
            )
        return self

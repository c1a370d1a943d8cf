"""Making the store's components; which of them is used follows from the URLs, in the table of `modelwatch/`."""

from __future__ import annotations

import time

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.access_store import AccessStore
from storage.alert_store import AlertStore
from storage.attempts import SqlAttempts
from storage.dialects import POSTGRES, SQLITE
from storage.export_ledger import ExportLedger
from storage.folder_lock import FolderLock, lock_beside
from storage.history import SqlHistory
from storage.in_process_live_feed import InProcessLiveFeed
from storage.ingest_progress import IngestProgress
from storage.pipeline_course import PipelineCourse
from storage.process_reports import ProcessReports
from storage.redis_live_feed import RedisLiveFeed
from storage.setting_changes import SettingChanges
from storage.settings import StorageSettings
from storage.upkeep import Upkeep
from telemetry import Counters, NowNs, StartError


def build_sqlite_history(settings: StorageSettings, url: str, *, now_ns: NowNs = time.time_ns) -> SqlHistory:
    """Return the history in the SQLite file that `url` (`sqlite:////folder/file.db`) names."""
    return SqlHistory(SQLITE, _parsed(url), settings, now_ns)


def build_postgres_history(settings: StorageSettings, url: str, *, now_ns: NowNs = time.time_ns) -> SqlHistory:
    """Return the history in the PostgreSQL database that `url` (`postgresql+psycopg://...`) names."""
    return SqlHistory(POSTGRES, _parsed(url), settings, now_ns)


def build_folder_lock(url: str) -> FolderLock | None:
    """Return what keeps a second process with figures of its own from the SQLite file that `url` names.

    `None` where there is no such file.
    """
    return lock_beside(_parsed(url).database)


def build_upkeep(
    settings: StorageSettings, history: SqlHistory, counters: Counters, *, now_ns: NowNs = time.time_ns
) -> Upkeep:
    """Return what rolls up and deletes in `history`; for processes that write."""
    return Upkeep(settings, history, counters, now_ns)


def build_attempts(history: SqlHistory, *, now_ns: NowNs = time.time_ns) -> SqlAttempts:
    """Return what remembers attempts that have not ended, in the database of `history`."""
    return SqlAttempts(history.database, now_ns)


def build_alert_store(history: SqlHistory) -> AlertStore:
    """Return where alerts are kept in the database of `history`."""
    return AlertStore.of(history.database)


def build_access_store(history: SqlHistory) -> AccessStore:
    """Return where users, sessions and tokens are kept in the database of `history`."""
    return AccessStore(history.database)


def build_ingest_progress(history: SqlHistory) -> IngestProgress:
    """Return where the processors of the database of `history` note how far they are."""
    return IngestProgress(history.database)


def build_process_reports(history: SqlHistory) -> ProcessReports:
    """Return where the processes of ModelWatch report, in the database of `history`."""
    return ProcessReports(history.database)


def build_pipeline_course(history: SqlHistory) -> PipelineCourse:
    """Return where the sums over all processes are kept over time, in the database of `history`."""
    return PipelineCourse(history.database)


def build_export_ledger(history: SqlHistory, target: str) -> ExportLedger:
    """Return how far the derived metrics of a target of forwarding are, in the database of `history`."""
    return ExportLedger(history.database, target)


def build_setting_changes(history: SqlHistory) -> SettingChanges:
    """Return where settings that were changed while running are kept, in the database of `history`."""
    return SettingChanges(history.database)


def build_in_process_live_feed(
    settings: StorageSettings, counters: Counters, *, now_ns: NowNs = time.time_ns
) -> InProcessLiveFeed:
    """Return the live feed of a single process that does everything."""
    return InProcessLiveFeed(settings, counters, now_ns)


def build_redis_live_feed(
    settings: StorageSettings,
    url: str,
    counters: Counters,
    *,
    is_mirrored: bool = True,
    now_ns: NowNs = time.time_ns,
) -> RedisLiveFeed:
    """Return this process's end of the live feed in the Redis that `url` (`redis://` or `rediss://`) names.

    `is_mirrored=False` is for roles that only publish: their window stays empty and costs nothing.
    """
    return RedisLiveFeed(settings, url, counters, is_mirrored=is_mirrored, now_ns=now_ns)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError:
        # The error's own text would repeat the URL with its password.
        raise StartError("the database URL cannot be read: set MODELWATCH_DATABASE_URL to a SQLAlchemy URL") from None

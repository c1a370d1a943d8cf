"""Which driver connection each running job uses, so that a job that waits for ever can be woken from outside.

`database.py` makes one `Run` per job. A job may be stuck in connecting, in the first questions to the server, in the
test of a pooled connection or in its own statements; the pool's events tell of each of these in time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError


class Run:
    """One job in its thread."""

    __slots__ = ("connection", "unpooled")

    def __init__(self) -> None:
        self.connection: Any = None
        """The driver connection that the job uses now."""
        self.unpooled: Any = None
        """A driver connection that was made and that the pool does not look after yet."""


class Runs:
    """The runs of one engine, by thread."""

    def __init__(self, engine: Engine, *, tests_connections: bool) -> None:
        self._here = threading.local()
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "checkout", self._check_out)
        self._dialect: Any = engine.dialect
        self._tests_connections = tests_connections

    @contextlib.contextmanager
    def tracked(self, run: Run) -> Iterator[None]:
        """Let `run` know the connections that this thread uses in the block."""
        self._here.run = run
        try:
            yield
        finally:
            run.connection = None
            if run.unpooled is not None:
                # The first questions to the server failed; SQLAlchemy forgets the connection without closing it.
                with contextlib.suppress(Exception):
                    run.unpooled.close()
            self._here.run = None

    def _connect(self, dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        connection = dialect.connect(*arguments, **options)
        if (run := getattr(self._here, "run", None)) is not None:
            run.connection = run.unpooled = connection
        return connection

    def _check_out(self, connection: Any, _record: Any, _proxy: Any) -> None:
        # In place of SQLAlchemy's `pool_pre_ping`, which tests before any event tells what it tests.
        if (run := getattr(self._here, "run", None)) is not None:
            run.connection, run.unpooled = connection, None
        if self._tests_connections:
            try:
                self._dialect.do_ping(connection)
            except self._dialect.dbapi.Error as error:
                raise DisconnectionError from error

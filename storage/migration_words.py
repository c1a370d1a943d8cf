"""What steps of the schema are written with, beside plain SQL."""

from __future__ import annotations


class OnPostgres(str):
    """A statement that SQLite has no use for."""

    __slots__ = ()

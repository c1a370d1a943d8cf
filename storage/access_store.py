"""Users, sessions and tokens in the database of the history: they outlive a restart, and all dashboards share them.

Written by the command line and at logins, read by `access/directory.py`, which keeps a copy for every request to be
checked against. What a password or a secret is made into is known to `access/` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, TextClause, text

from storage import access_schema  # noqa: F401  the tables that the statements speak of
from storage.database import Database


class UserRow(NamedTuple):
    """A user; `password` is what was made of it."""

    name: str
    role: str
    password: str
    created_s: int


class SessionRow(NamedTuple):
    """A session of a user; `seen_s` is about when it was last used."""

    digest: str
    user_name: str
    created_s: int
    seen_s: int


class TokenRow(NamedTuple):
    """A token of a program; `ends_s` and `seen_s` are 0 for never."""

    name: str
    digest: str
    role: str
    created_s: int
    ends_s: int
    seen_s: int


class AccessRows(NamedTuple):
    """All that there is, at one moment."""

    users: Sequence[UserRow]
    sessions: Sequence[SessionRow]
    tokens: Sequence[TokenRow]


_USERS: Final = text("SELECT name, role, password, created_s FROM access_users ORDER BY name")
_SESSIONS: Final = text("SELECT digest, user_name, created_s, seen_s FROM access_sessions")
_TOKENS: Final = text("SELECT name, digest, role, created_s, ends_s, seen_s FROM access_tokens ORDER BY name")
_ADD_USER: Final = text(
    "INSERT INTO access_users (name, role, password, created_s) VALUES (:name, :role, :password, :created_s) "
    "ON CONFLICT (name) DO NOTHING"
)
_ADD_FIRST_USER: Final = text(
    "INSERT INTO access_users (name, role, password, created_s) SELECT :name, :role, :password, :created_s "
    "WHERE NOT EXISTS (SELECT 1 FROM access_users) ON CONFLICT (name) DO NOTHING"
)
_SET_PASSWORD: Final = text("UPDATE access_users SET password = :password WHERE name = :name")
_SET_ROLE: Final = text("UPDATE access_users SET role = :role WHERE name = :name")
_REMOVE_USER: Final = text("DELETE FROM access_users WHERE name = :name")
_END_OF_USER: Final = text("DELETE FROM access_sessions WHERE user_name = :name")
_ADD_SESSION: Final = text(
    "INSERT INTO access_sessions (digest, user_name, created_s, seen_s) "
    "SELECT :digest, :user_name, :created_s, :seen_s "
    "WHERE EXISTS (SELECT 1 FROM access_users WHERE name = :user_name AND password = :password)"
)
_END_SESSION: Final = text("DELETE FROM access_sessions WHERE digest = :digest")
_END_SURPLUS: Final = text(
    "DELETE FROM access_sessions WHERE user_name = :user_name AND digest NOT IN (SELECT digest FROM access_sessions "
    "WHERE user_name = :user_name ORDER BY created_s DESC, digest LIMIT :most)"
)
_END_OLD: Final = text("DELETE FROM access_sessions WHERE created_s < :created_before_s OR seen_s < :seen_before_s")
_SEE_SESSION: Final = text("UPDATE access_sessions SET seen_s = :seen_s WHERE digest = :digest AND seen_s < :seen_s")
_SEE_TOKEN: Final = text("UPDATE access_tokens SET seen_s = :seen_s WHERE digest = :digest AND seen_s < :seen_s")
_ADD_TOKEN: Final = text(
    "INSERT INTO access_tokens (name, digest, role, created_s, ends_s, seen_s) "
    "VALUES (:name, :digest, :role, :created_s, :ends_s, :seen_s) ON CONFLICT (name) DO NOTHING"
)
_REMOVE_TOKEN: Final = text("DELETE FROM access_tokens WHERE name = :name")


class AccessStore:
    """Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self) -> AccessRows:
        """Return users and tokens by name, and all sessions."""

        def read(connection: Connection) -> AccessRows:
            return AccessRows(
                [UserRow(*row) for row in connection.execute(_USERS)],
                [SessionRow(*row) for row in connection.execute(_SESSIONS)],
                [TokenRow(*row) for row in connection.execute(_TOKENS)],
            )

        return await self._database.read(read)

    async def add_user(self, row: UserRow, *, only_first: bool = False) -> bool:
        """Add a user, or only if there is none yet; tell whether that was done."""
        return await self._change((_ADD_FIRST_USER if only_first else _ADD_USER, row._asdict()))

    async def set_password(self, name: str, password: str) -> bool:
        """Change a password and end all sessions of the user; tell whether there is such a user."""
        return await self._change((_SET_PASSWORD, {"name": name, "password": password}), (_END_OF_USER, {"name": name}))

    async def set_role(self, name: str, role: str) -> bool:
        """Change a role; tell whether there is such a user."""
        return await self._change((_SET_ROLE, {"name": name, "role": role}))

    async def remove_user(self, name: str) -> bool:
        """Remove a user and end all sessions of them; tell whether there was one."""
        return await self._change((_REMOVE_USER, {"name": name}), (_END_OF_USER, {"name": name}))

    async def add_session(self, row: SessionRow, password: str, most: int) -> bool:
        """Begin a session and end the user's oldest beyond `most`; not when the password was changed meanwhile."""
        return await self._change(
            (_ADD_SESSION, {**row._asdict(), "password": password}),
            (_END_SURPLUS, {"user_name": row.user_name, "most": most}),
        )

    async def end_session(self, digest: str) -> bool:
        """End a session; tell whether there was one."""
        return await self._change((_END_SESSION, {"digest": digest}))

    async def add_token(self, row: TokenRow) -> bool:
        """Add a token; tell whether its name was free."""
        return await self._change((_ADD_TOKEN, row._asdict()))

    async def remove_token(self, name: str) -> bool:
        """Remove a token; tell whether there was one."""
        return await self._change((_REMOVE_TOKEN, {"name": name}))

    async def tidy(
        self, sessions: Mapping[str, int], tokens: Mapping[str, int], created_before_s: int, seen_before_s: int
    ) -> None:
        """Note when sessions and tokens were last used, by digest, and delete sessions that are over."""

        def tidy(connection: Connection) -> None:
            for statement, seen in ((_SEE_SESSION, sessions), (_SEE_TOKEN, tokens)):
                if seen:
                    values = [{"digest": digest, "seen_s": seen_s} for digest, seen_s in sorted(seen.items())]
                    connection.execute(statement, values)
            connection.execute(_END_OLD, {"created_before_s": created_before_s, "seen_before_s": seen_before_s})

        await self._database.write(tidy)

    async def _change(self, *statements: tuple[TextClause, Mapping[str, Any]]) -> bool:
        """Execute all in one transaction; tell whether the first changed anything."""

        def change(connection: Connection) -> bool:
            counts = [connection.execute(statement, dict(values)).rowcount for statement, values in statements]
            return counts[0] > 0

        return await self._database.write(change)

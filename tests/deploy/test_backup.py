"""The back-ups of docs/operating.md, taken of a running system and restored, with the commands that stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy

from tests.support.otlp import resource, server_spans, trace_request
from tests.support.ports import free_port
from tests.support.processes import RunningProcess, start_role
from tests.support.waiting import eventually

REPOSITORY = Path(__file__).parent.parent.parent
GUIDE = (REPOSITORY / "docs" / "operating.md").read_text()


IN_CONTAINER = "docker compose exec -T postgres "
"""What is said to the server's container with Compose; here it is said to the server."""


def commands(program: str) -> list[list[str]]:
    """Return the commands of the guide that begin with this program."""
    return [shlex.split(line) for line in re.findall(rf"^    ({program} .*)$", GUIDE, re.M)]


def run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


class Up:
    """`modelwatch up` on a database, with what it counts."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.folder = folder
        self._http_port, self._web_port = free_port(), free_port()
        self._environment = {
            "MODELWATCH_DATA_DIR": str(folder / "modelwatch-data"),
            "MODELWATCH_RECEIVER__GRPC_PORT": str(free_port()),
            "MODELWATCH_RECEIVER__HTTP_PORT": str(self._http_port),
            "MODELWATCH_API__PORT": str(self._web_port),
            **({"MODELWATCH_DATABASE_URL": database_url} if database_url else {}),
        }

    async def start(self) -> RunningProcess:
        return await start_role("up", self._environment, self.folder / "up.log", self._web_port)

    async def send(self, count: int) -> None:
        """Send until it is taken, as a client does that is told to try again."""
        body = trace_request(server_spans(count, end_ns=time.time_ns() - 10**9), resource("shop")).SerializeToString()
        headers = {"content-type": "application/x-protobuf"}
        url = f"http://127.0.0.1:{self._http_port}/v1/traces"
        await eventually(
            lambda: httpx.post(url, content=body, headers=headers, timeout=20).status_code == 200,
            timeout_s=30,
            interval_s=0.5,
            what="the spans are taken",
        )

    def refusal(self) -> str:
        """Return the line that a start ends with at once."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MODELWATCH_")}
        done = subprocess.run(
            [sys.executable, "-m", "modelwatch", "up"],
            env=clean | self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        return done.stderr.splitlines()[-1]

    def calls(self) -> int:
        found = httpx.get(f"http://127.0.0.1:{self._web_port}/api/v1/services?window=1h", timeout=20).json()
        return int(found["total"]["calls"])


def test_every_command_of_the_guide_is_run_or_says_that_it_is_not() -> None:
    """Those of back-ups here, those that ask the API by the test of its page."""
    for line in re.findall(r"^    (\S.*)$", GUIDE, re.M):
        program = line.split()[0]
        is_run = program in {"python3", "pg_dump", "createdb", "pg_restore", "curl"} or line.startswith(IN_CONTAINER)
        assert is_run or "not run by a test" in line, line


def upgrade(database_url: str) -> None:
    """Leave the database as a version would that knows one more step."""
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE schema_version SET version = version + 1"))
    engine.dispose()


async def counted_again(before: Up, after: Up, take: Any, restore: Any, database_url: str) -> None:
    """Take a back-up while it runs, count on, upgrade, and roll back as the guide says.

    The old version refuses what the new one left, in one line. On the restored back-up it has what there was at that
    moment, and counts on.
    """
    running = await before.start()
    try:
        await before.send(7)
        await eventually(lambda: before.calls() == 7, timeout_s=30, what="seven are counted")
        take()
        await before.send(5)
        await eventually(lambda: before.calls() == 12, timeout_s=30, what="and five more")
    finally:
        running.stop()
    upgrade(database_url)
    assert "start a newer ModelWatch" in before.refusal()
    restore()
    running = await after.start()
    try:
        assert after.calls() == 7
        await after.send(3)
        await eventually(lambda: after.calls() == 10, timeout_s=30, what="it counts on")
    finally:
        running.stop()


async def test_a_copy_of_a_running_sqlite_database_is_whole(tmp_path: Path) -> None:
    """As the guide says, with Python alone."""
    (copy,) = commands("python3")
    before, after = Up(tmp_path, None), Up(tmp_path / "restored", None)
    source = f"sqlite:///{tmp_path / 'modelwatch-data' / 'modelwatch.db'}"
    target = tmp_path / "restored" / "modelwatch-data" / "modelwatch.db"

    def restore() -> None:
        target.parent.mkdir(parents=True)
        (tmp_path / "backup.db").rename(target)

    await counted_again(before, after, lambda: run([sys.executable, *copy[1:]], tmp_path), restore, source)


async def test_a_dump_of_a_running_postgres_database_is_whole(tmp_path: Path, postgres: Any) -> None:
    """As the guide says, into a new database."""
    url = postgres.fresh_database()
    plain = url.replace("postgresql+psycopg", "postgresql")
    server, _, name = plain.rpartition("/")

    def real(command: Sequence[str]) -> list[str]:
        parts = [part.replace("postgresql://user:password@host", server) for part in command]
        parts = [
            part.removesuffix("/modelwatch") + f"/{name}" if part.endswith("/modelwatch") else part for part in parts
        ]
        return [part.replace("restored", f"{name}_restored") for part in parts]

    (dump,), (create,), (load,) = commands("pg_dump"), commands("createdb"), commands("pg_restore")
    before = Up(tmp_path, url)
    (tmp_path / "other").mkdir()
    after = Up(tmp_path / "other", f"{url.rpartition('/')[0]}/{name}_restored")

    def restore() -> None:
        run(real(create), tmp_path)
        run(real(load), tmp_path)

    await counted_again(before, after, lambda: run(real(dump), tmp_path), restore, url)


def test_a_dump_is_restored_in_place_with_compose(tmp_path: Path, postgres: Any) -> None:
    """The commands of the guide but for the container: what came after the dump is in the database of before."""
    host = sqlalchemy.make_url(postgres.fresh_database())
    name = str(host.database)
    (dump, *back) = [
        line.removeprefix(IN_CONTAINER).partition("  # ")[0]
        for line in re.findall(rf"^    ({IN_CONTAINER}.*)$", GUIDE, re.M)
    ]
    assert [line.split()[0] for line in back] == ["psql", "createdb", "pg_restore"]
    there = {"PGHOST": str(host.host), "PGPORT": str(host.port), "PGPASSWORD": str(host.password or "")}
    environment = {**os.environ, **there}

    def say(line: str) -> str:
        line = re.sub(r"(?<!--username=)\bmodelwatch\b", name, line).replace("before", f"{name}_before")
        line = line.replace("--username=modelwatch", f"--username={host.username}")
        done = subprocess.run(
            ["/bin/sh", "-ec", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(database: str, sql: str) -> str:
        return say(f"psql --username=modelwatch --dbname={database} -qtAc '{sql}'")

    ask(name, "CREATE TABLE calls (n int); INSERT INTO calls VALUES (7)")
    say(dump)
    ask(name, "INSERT INTO calls VALUES (5)")
    for line in back:
        say(line)
    assert ask(name, "SELECT sum(n) FROM calls") == "7"
    assert ask("before", "SELECT sum(n) FROM calls") == "12"

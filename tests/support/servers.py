"""Private RabbitMQ, PostgreSQL and Redis for tests and benchmarks: on free ports, with data that goes with the run.

An address in MODELWATCH_TEST_RABBITMQ_URL, MODELWATCH_TEST_POSTGRES_URL or MODELWATCH_TEST_REDIS_URL is used instead
of a private server; tests that kill or freeze a server then say that they need a private one.
"""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.support.ports import free_port

START_TIMEOUT_S = 60.0
RUNNING_PIDS: set[int] = set()
"""The private servers that run now, so that their processes are not taken for what a test left behind."""


class MissingServerError(Exception):
    """A server program is not installed and no address was given."""


def find_program(name: str, variable: str, *patterns: str) -> str:
    """Return the path of a server's program; the error tells what to install or to set."""
    for pattern in patterns:
        for path in sorted(glob.glob(pattern), reverse=True):
            if os.access(path, os.X_OK):
                return path
    found = shutil.which(name)
    if found:
        return found
    raise MissingServerError(
        f"{name} is not installed: install it (`make test` does on Debian as root) or set {variable}"
    )


class PrivateServer:
    """A server process of our own, in a process group of its own so that it can be killed and frozen whole."""

    def __init__(self, name: str, port: int) -> None:
        self.port = port
        self.directory = Path(tempfile.mkdtemp(prefix=f"modelwatch-{name}-"))
        self.directory.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def is_ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True

    def start(self) -> None:
        """Start, or start again with the same data, and return when it answers."""
        self._log = (self.directory / "server.log").open("ab")
        self._process = subprocess.Popen(
            self.command(),
            env=self.environment(),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        RUNNING_PIDS.add(self._process.pid)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if self.is_ready():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{self.command()[0]} did not start: {(self.directory / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it from running without closing its connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server run on."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it with SIGKILL, as its data is not needed again and a clean stop takes seconds; delete the data."""
        self.thaw()
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait(10)
        RUNNING_PIDS.discard(self._process.pid)
        self._process = None
        if self._log is not None:
            self._log.close()


class PrivateRabbitMQ(PrivateServer):
    """RabbitMQ with an epmd of its own, in the foreground, as whoever runs the tests."""

    def __init__(self) -> None:
        self._program = find_program(
            "rabbitmq-server", "MODELWATCH_TEST_RABBITMQ_URL", "/usr/lib/rabbitmq/bin/rabbitmq-server"
        )
        # All below the ephemeral range: what a killed broker leaves must not be taken before it is started again.
        super().__init__("rabbitmq", free_port(-5_000, -10_000))
        (self.directory / "enabled_plugins").write_text("[].")
        (self.directory / "rabbitmq.conf").write_text(
            "vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 100MB\nloopback_users = none\n"
        )
        for name in ("mnesia", "log", "home"):
            (self.directory / name).mkdir()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def command(self) -> list[str]:
        return [self._program]

    def environment(self) -> dict[str, str]:
        path = self.directory
        return {
            **os.environ,
            "HOME": str(path / "home"),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"modelwatch{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.port - 10_000),
            "ERL_EPMD_PORT": str(self.port - 5_000),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(path / "mnesia"),
            "RABBITMQ_LOG_BASE": str(path / "log"),
            "RABBITMQ_LOGS": str(path / "log" / "rabbit.log"),
            "RABBITMQ_PID_FILE": str(path / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(path / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(path / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # Without busy waiting an idle node costs nothing; the tests share two cores with it.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none "
            "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def is_ready(self) -> bool:
        """The port opens before the node takes work, so ask with the protocol header and wait for an answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return len(connection.recv(8)) > 0

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node and return what it prints."""
        command = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-n", f"modelwatch{self.port}@localhost", "-q", *arguments]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=30, check=True)
        return done.stdout

    def remove(self) -> None:
        super().remove()
        epmd = shutil.which("epmd")
        if epmd:
            environment = {**os.environ, "ERL_EPMD_PORT": str(self.port - 5_000)}
            subprocess.run([epmd, "-kill"], env=environment, capture_output=True, timeout=10, check=False)


class PrivatePostgres(PrivateServer):
    """PostgreSQL with trust authentication on loopback; it refuses to run as root, so root runs it as `postgres`."""

    def __init__(self) -> None:
        pattern = "/usr/lib/postgresql/*/bin/"
        variable = "MODELWATCH_TEST_POSTGRES_URL"
        self._initdb = find_program("initdb", variable, pattern + "initdb")
        self._postgres = find_program("postgres", variable, pattern + "postgres")
        super().__init__("postgres", free_port())
        self._prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._prefix:
            shutil.chown(self.directory, "postgres")
        options = ["-D", str(self.directory / "data"), "-U", "modelwatch", "-A", "trust"]
        subprocess.run(
            [*self._prefix, self._initdb, *options, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
            cwd=self.directory,
            check=True,
            capture_output=True,
            timeout=60,
        )

    @property
    def url(self) -> str:
        return self._url_of("postgres")

    def command(self) -> list[str]:
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.directory}"]
        options = [word for setting in settings for word in ("-c", setting)]
        return [*self._prefix, self._postgres, "-D", str(self.directory / "data"), *options]

    def is_ready(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            raise OSError(str(error)) from error
        return True

    def stop(self) -> None:
        self._end(signal.SIGINT)  # the fast shutdown; SIGTERM would wait for every client

    def _signal(self, number: int) -> None:
        """Reach every backend: each leads a process group of its own, so that the server's group is not enough."""
        if number == signal.SIGINT or self._process is None or self._process.poll() is not None:
            return super()._signal(number)
        server = psutil.Process(self._process.pid)
        family = [server, *server.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        if number == signal.SIGKILL:
            # While a backend is left, the server refuses to start again on the same data.
            psutil.wait_procs(family[1:], timeout=10)
        return None

    def fresh_database(self) -> str:
        """Make an empty database and return its URL."""
        import psycopg

        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url_of(name)

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=modelwatch dbname={database}"

    def _url_of(self, database: str) -> str:
        return f"postgresql+psycopg://modelwatch@127.0.0.1:{self.port}/{database}"


class PrivateRedis(PrivateServer):
    """Redis without persistence, as Debian ships it."""

    def __init__(self) -> None:
        self._program = find_program("redis-server", "MODELWATCH_TEST_REDIS_URL")
        super().__init__("redis", free_port())

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def flush(self) -> None:
        """Empty it, as a restart without persistence would."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(64).startswith(b"+OK")


class GivenServer:
    """A server whose address was given: it can be used, not killed or frozen."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Nothing to do: it runs."""

    def remove(self) -> None:
        """Nothing to do: it is not ours."""

    def __getattr__(self, name: str) -> object:
        pytest.skip(f"`{name}` needs a private server; an address was given")


class GivenPostgres(GivenServer):
    """A PostgreSQL whose address was given; databases are made in it and left there."""

    def fresh_database(self) -> str:
        import sqlalchemy

        name = f"modelwatch_test_{secrets.token_hex(6)}"
        url = sqlalchemy.make_url(self.url)
        engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return url.set(database=name).render_as_string(hide_password=False)


def rabbitmq_server() -> PrivateRabbitMQ | GivenServer:
    """Return the RabbitMQ to test with, not yet started."""
    url = os.environ.get("MODELWATCH_TEST_RABBITMQ_URL")
    return GivenServer(url) if url else PrivateRabbitMQ()


def postgres_server() -> PrivatePostgres | GivenPostgres:
    """Return the PostgreSQL to test with, not yet started."""
    url = os.environ.get("MODELWATCH_TEST_POSTGRES_URL")
    return GivenPostgres(url) if url else PrivatePostgres()


def redis_server() -> PrivateRedis | GivenServer:
    """Return the Redis to test with, not yet started."""
    url = os.environ.get("MODELWATCH_TEST_REDIS_URL")
    return GivenServer(url) if url else PrivateRedis()

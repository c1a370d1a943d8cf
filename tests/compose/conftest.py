"""The system of compose.yaml on an engine of our own, with images of Debian's packages under the official names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest
import yaml

from tests.support.docker_engine import DockerEngine
from tests.support.ports import free_port
from tests.support.processes import REPOSITORY
from tests.support.servers import find_program

HERE = Path(__file__).parent
PACKAGES = "ca-certificates,python3,python3-venv,rabbitmq-server,postgresql,redis-server,prometheus"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
RUN_TIMEOUT_S = 1200
SERVERS = ("rabbitmq", "postgres", "redis")
ROLES = ("receiver", "processor", "dashboard", "alerts", "containers")


NOWHERE = {"name": "nowhere", "endpoint": "http://127.0.0.1:9", "protocol": "http", "derived": {"metrics": ["http"]}}
"""A target that nobody is behind, and that wants derived metrics."""
CHANNEL = {"name": "nobody", "url": "http://127.0.0.1:9/its-own-secret"}
"""Where notifications go to nobody."""
OUR_USER = 10001
COMPOSE = os.environ.get("MODELWATCH_TEST_COMPOSE", "docker-compose")
"""The program, of version 1.29 or 2."""
PROFILES = ("demo", "export", "grafana", "jaeger")


class ComposeEngine(DockerEngine):
    """An engine with networks between its containers, and layers that share what is the same."""

    def command(self) -> list[str]:
        without = {"--bridge", "none", "--iptables=false", "--ip6tables=false"}
        words = [word for word in super().command() if word not in without]
        words[words.index("vfs")] = "overlay2"
        return words


class System:
    """`compose(...)` runs docker-compose on the project, `docker(...)` the engine's client."""

    def __init__(self, engine: ComposeEngine, folder: Path) -> None:
        self.page_port, self.otlp_port, self.api_port = free_port(), free_port(), free_port()
        secrets = folder / ".env"
        subprocess.run([REPOSITORY / "deploy" / "secrets.sh", secrets], check=True, capture_output=True, timeout=20)
        self.secrets = dict(line.split("=", 1) for line in secrets.read_text().splitlines())
        own = {name: value for name, value in os.environ.items() if not name.startswith(("MODELWATCH_", "COMPOSE_"))}
        self._environment = own | {
            "DOCKER_HOST": engine.url,
            "DOCKER_BUILDKIT": "0",
            "COMPOSE_PROJECT_NAME": "modelwatch",
            "COMPOSE_HTTP_TIMEOUT": "300",
            "MODELWATCH_PAGE_PORT": str(self.page_port),
            "MODELWATCH_DOCKER_SOCKET": engine.socket,
            "MODELWATCH_DOCKER_GID": str(os.stat(engine.socket).st_gid),
            "TEST_OTLP_PORT": str(self.otlp_port),
            "TEST_API_PORT": str(self.api_port),
            "MODELWATCH_SECRETS": str(folder),
            # Version 2 then names containers as 1.29 does.
            **({} if COMPOSE == "docker-compose" else {"COMPOSE_COMPATIBILITY": "true"}),
        }
        self._files = ["--env-file", str(secrets), "-f", "compose.yaml", "-f", str(HERE / "override.yaml")]
        for name, content in (("alert_channels", [CHANNEL]), ("export_targets", [NOWHERE])):
            file = folder / f"{name}.yaml"
            file.write_text(json.dumps(content))
            file.chmod(0o400)
            os.chown(file, OUR_USER, OUR_USER)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.page_port}/api/v1"

    @cached_property
    def headers(self) -> dict[str, str]:
        """What the API is asked with: a token, made in the dashboard's container."""
        token = self.compose("exec", "-T", "dashboard", "modelwatch", "tokens", "add", "tests").strip()
        return {"Authorization": f"Bearer {token}"}

    def compose(self, *words: str, has_secrets: bool = True) -> str:
        """Return what docker-compose prints; its errors are the test's."""
        profiles = [word for profile in PROFILES for word in ("--profile", profile)]
        files = [*self._files, *(["-f", "compose.secrets.yaml"] if has_secrets else [])]
        return self._run([COMPOSE, *files, *profiles, *words])

    def up(self, *words: str) -> None:
        """Start what is not running. The Collector, which the model API depends on, cannot be had."""
        self.compose("up", "-d", "--no-build", "--no-recreate", *SERVERS)
        self.compose("up", "-d", "--no-build", "--no-recreate", "--no-deps", *words, *ROLES, "tumour-classifier")

    def docker(self, *words: str) -> str:
        """Return what the engine's client prints."""
        return self._run(["docker", *words])

    def logs(self, container: str) -> str:
        """Return all that a container said, on either stream."""
        command = ["docker", "logs", container]
        done = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        return done.stdout

    def image(self, service: str) -> str:
        """Return the name that compose.yaml gives a service's image."""
        services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
        return re.sub(r"\$\{\w+:-(.*)\}", r"\1", services[service]["image"])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self._environment, capture_output=True, text=True, timeout=RUN_TIMEOUT_S
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything but the Collector, up and healthy, with one model API of the demo."""
    engine = ComposeEngine()
    try:
        engine.start()
        made = System(engine, tmp_path_factory.mktemp("compose"))
        _make_images(made)
        made.up()
        try:
            yield made
        finally:
            made.compose("down", "--volumes", "--timeout", "5")
    finally:
        engine.remove()


def _make_images(system: System) -> None:
    root = Path(tempfile.mkdtemp(prefix="modelwatch-stand-in-"))
    try:
        _make_base(system, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    python = re.search(r"^ARG PYTHON_IMAGE=(\S+)", dockerfile, re.MULTILINE)
    assert python is not None
    for name in (python[1], system.image("redis"), system.image("prometheus")):
        system.docker("tag", "stand-in", name)
    for service in ("postgres", "rabbitmq"):
        recipe = root.with_suffix(f".{service}")
        recipe.write_text(f'FROM stand-in\nCOPY {service} /entry\nENV PATH={_path()}\nCMD ["/entry"]\n')
        system.docker("build", "-q", "-t", system.image(service), "-f", str(recipe), str(HERE / "stand_ins"))
        recipe.unlink()
    for target, service in (("modelwatch", "receiver"), ("demo", "tumour-classifier")):
        system.docker("build", "--network", "host", "--target", target, "-t", system.image(service), ".")


def _make_base(system: System, root: Path) -> None:
    """Import a Debian with Python and the servers, from wherever this machine has its packages."""
    debootstrap = find_program("debootstrap", "nothing: it must be installed", "/usr/sbin/debootstrap")
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], check=True, capture_output=True, text=True, timeout=60
    )
    source = targets.stdout.split()[0]
    release = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    assert release is not None
    command = [debootstrap, "--variant=minbase", f"--include={PACKAGES}", release[1], str(root / "root"), source]
    subprocess.run(command, check=True, capture_output=True, timeout=RUN_TIMEOUT_S)
    # Builds trust what this machine trusts.
    shutil.copyfile(CERTIFICATES, root / "root" / str(CERTIFICATES).lstrip("/"))
    (root / "root" / "etc" / "pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\n")
    archive = root / "root.tar"
    subprocess.run(["tar", "-C", str(root / "root"), "-cf", str(archive), "."], check=True, timeout=300)
    system.docker("import", str(archive), "stand-in")


def _path() -> str:
    return "/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin"

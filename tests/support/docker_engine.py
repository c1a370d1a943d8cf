"""A real Docker engine of our own: on a socket and with data in a folder that goes with the run, nothing pulled.

Its one image is BusyBox from the Debian package. It runs as root only, as engines do; where it cannot, the tests fail.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.servers import MissingServerError, PrivateServer, find_program

IMAGE = "modelwatch-test/busybox"
TAG = "1.35"
SPIN = "while :; do :; done"
"""A shell that takes a whole core, if it gets one."""


class DockerEngine(PrivateServer):
    """`run` makes containers; `kill_container` and so on do to them what a person would do."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise MissingServerError("a Docker engine needs root to run: run the tests as root")
        self._program = find_program("dockerd", "nothing: it must be installed", "/usr/sbin/dockerd")
        super().__init__("docker", 0)
        self.socket = str(self.directory / "docker.sock")
        # A namespace of containerd may not begin or end with what the name of a temporary folder may.
        self._namespace = self.directory.name.replace("_", "0")
        self._client = self._new_client()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def command(self) -> list[str]:
        path = self.directory
        return [
            *(self._program, "--host", self.url, "--data-root", f"{path}/data", "--exec-root", f"{path}/exec"),
            *("--pidfile", f"{path}/pid", "--config-file", f"{path}/none.json", "--storage-driver", "vfs"),
            *(
                "--bridge",
                "none",
                "--iptables=false",
                "--ip6tables=false",
                "--exec-opt",
                "native.cgroupdriver=cgroupfs",
            ),
            *(
                "--containerd-namespace",
                self._namespace,
                "--containerd-plugins-namespace",
                f"{self._namespace}-plugins",
            ),
            *("--shutdown-timeout", "1"),
        ]

    def is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(self.socket)  # httpx leaves its socket open where nobody listens
        try:
            return self._client.get("/_ping").is_success
        except httpx.HTTPError:
            return False

    def start(self) -> None:
        """Start it, and give it its image the first time."""
        (self.directory / "none.json").write_text("{}")
        for left in ("pid", "exec/containerd/containerd.pid"):  # by one that was killed, and is a zombie here
            (self.directory / left).unlink(missing_ok=True)
        self._client.close()
        self._client = self._new_client()  # without connections to an engine that was killed
        super().start()
        if not self._client.get(f"/images/{IMAGE}:{TAG}/json").is_success:
            query = {"fromSrc": "-", "repo": IMAGE, "tag": TAG, "changes": "ENV PATH=/bin"}
            self._client.post("/images/create", params=query, content=_busybox_tar()).raise_for_status()

    def run(self, name: str, command: str, **host_config: Any) -> str:
        """Start a container that runs a shell command, without network, and return its id.

        `labels` and `healthcheck` are taken out of `host_config`.
        """
        body: dict[str, Any] = {
            "Image": f"{IMAGE}:{TAG}",
            "Cmd": ["sh", "-c", command],
            "Labels": host_config.pop("labels", {}),
            "Healthcheck": host_config.pop("healthcheck", None),
            "StopSignal": "SIGKILL",
            "HostConfig": {"NetworkMode": "none", **host_config},
        }
        answer = self._client.post("/containers/create", params={"name": name}, json=body)
        assert answer.is_success, answer.text
        container_id = str(answer.json()["Id"])
        self.do(container_id, "start")
        return container_id

    def do(self, container: str, action: str, **query: str) -> None:
        """Do one of: start, stop, kill, pause, unpause, restart, rename (`name=`)."""
        answer = self._client.post(f"/containers/{container}/{action}", params=query)
        assert answer.status_code in (204, 304), answer.text

    def delete(self, container: str) -> None:
        """Delete a container, whether or not it runs."""
        answer = self._client.delete(f"/containers/{container}", params={"force": "1"})
        assert answer.status_code in (204, 404), answer.text

    def delete_all(self) -> None:
        """Delete all containers."""
        containers = self._client.get("/containers/json", params={"all": "1"}).json()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda entry: self.delete(entry["Id"]), containers))

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine says of a container."""
        answer: dict[str, Any] = self._client.get(f"/containers/{container}/json").json()
        return answer

    def cpu_seconds(self) -> float:
        """Return the CPU time that the engine's own processes have taken."""
        return sum(sum(process.cpu_times()[:2]) for process in self._own_processes())

    def remove(self) -> None:
        """End the engine with all containers, and delete what they had."""
        if self.is_running:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                self.delete_all()
        self.stop()
        self._client.close()
        for process in self._own_processes():  # shims live in groups of their own, and outlive an engine that died
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)
        for mount in _mounts_below(self.directory):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _new_client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=self.socket)
        return httpx.Client(transport=transport, base_url="http://engine/v1.41", timeout=60)

    def _own_processes(self) -> list[psutil.Process]:
        """Return the processes that name the engine's folder: itself, its containerd and the shims."""
        own = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or ()
            if any(str(self.directory) in word for word in words) or self._namespace in words:
                own.append(process)
        return own


def _busybox_tar() -> bytes:
    busybox = Path(find_program("busybox", "nothing: it must be installed", "/bin/busybox"))
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(busybox, "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
    return buffer.getvalue()


def _mounts_below(directory: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((mount for mount in mounts if mount.startswith(f"{directory}/")), reverse=True)

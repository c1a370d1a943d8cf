"""The resource says which host, process, container, service and model is speaking; the user has the last word."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from modelwatch_instrumentation import resource
from modelwatch_instrumentation.container import container_id
from modelwatch_instrumentation.resource import ModelWatchResourceDetector, service

ID = "4f0a" * 16
OTHER_ID = "beef" * 16

CGROUPS = {
    "Docker, version 1": f"12:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n",
    "Docker under systemd": f"0::/system.slice/docker-{ID}.scope\n",
    "containerd under Kubernetes": f"0::/kubepods/burstable/pod0f7a8b/{ID}\n",
    "containerd under systemd": f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n",
    "its own service": f"0::/kubepods-pod1.slice:cri-containerd:{ID}\n",
    "Podman": f"0::/machine.slice/libpod-{ID}.scope\n",
    "no container": "0::/user.slice/user-1000.slice/session-3.scope\n",
    "a name that is too short": "0::/docker/4f0a4f0a4f0a\n",
    "version 2 from within": "0::/\n",
}
MOUNTS = {
    "Docker": f"629 610 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n",
    "Podman": f"9 8 0:25 /containers/storage/overlay-containers/{ID}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw\n",
    "the sandbox of a pod": f"9 8 8:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname "
    "/etc/hostname rw - ext4 /dev/sda1 rw\n",
    "another container's folder": f"9 8 8:1 /var/lib/docker/containers/{OTHER_ID}/data /mnt/x rw - ext4 /dev/sda1 rw\n",
    "a short line": "9 8\n",
}


@pytest.mark.parametrize("name", CGROUPS)
def test_the_containers_id_is_read_from_its_control_group(tmp_path: Path, name: str) -> None:
    """Engines name control groups in many ways; the id is what 64 hexadecimal digits at the end say."""
    (tmp_path / "cgroup").write_text(CGROUPS[name])
    assert container_id(tmp_path) == (ID if ID in CGROUPS[name] else None)


@pytest.mark.parametrize("name", MOUNTS)
def test_behind_version_2_the_id_is_read_from_the_engines_own_mounts(tmp_path: Path, name: str) -> None:
    """A pod's sandbox and a volume are folders of something else, and wrong is worse than unknown."""
    (tmp_path / "cgroup").write_text(CGROUPS["version 2 from within"])
    (tmp_path / "mountinfo").write_text(MOUNTS[name])
    assert container_id(tmp_path) == (ID if name in ("Docker", "Podman") else None)


def test_without_a_proc_there_is_no_container(tmp_path: Path) -> None:
    """Other systems have no such files."""
    assert container_id(tmp_path) is None


def test_the_variables_name_the_model_and_the_service_takes_its_name_but_not_its_version() -> None:
    """A model and the service around it are released apart."""
    assert service({"MODEL_NAME": "fraud", "MODEL_VERSION": "7"}, ["python", "serve.py"]) == {
        "ml.model.name": "fraud",
        "ml.model.version": "7",
        "service.name": "fraud",
    }


@pytest.mark.parametrize(
    ("command", "package"),
    [
        (["python", "/bin/uvicorn", "pytest:app", "--port", "80"], "pytest"),
        (["python", "-m", "gunicorn", "-b", "localhost:8000", "pytest.main.api:create()"], "pytest"),
        (["python", "/bin/uvicorn", "nowhere_installed.api:app"], None),
        (["python", "/bin/uvicorn", "app:app", "--host", "localhost:80"], None),
        (["python", "serve.py", "unix:/run/x.sock"], None),
        ([], None),
    ],
)
def test_name_and_version_fall_back_to_the_package_that_is_served(command: list[str], package: str | None) -> None:
    """An installed package of the application's name has a version; a file in the folder has none."""
    expected = {"service.name": "pytest", "service.version": pytest.__version__} if package else {}
    assert service({}, command) == expected
    named = {"service.name": "pytest", "service.version": "2.1"} if package else {"service.version": "2.1"}
    assert service({"SERVICE_VERSION": "2.1"}, command) == named


def test_a_spawned_worker_takes_the_package_from_its_parents_command_line() -> None:
    """multiprocessing starts workers with a command line of its own."""
    command = ["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()", "--multiprocessing-fork"]
    assert service({}, command, ["python", "uvicorn", "pytest:app"])["service.name"] == "pytest"
    assert service({}, ["python", "serve.py"], ["python", "uvicorn", "pytest:app"]) == {}


def test_host_and_process_are_those_of_this_process() -> None:
    """What containers and processes are joined by."""
    found = ModelWatchResourceDetector().detect().attributes
    assert found["process.pid"] == os.getpid()
    assert found["host.name"] == os.uname().nodename
    assert found["process.executable.name"] == Path(sys.executable).name
    assert found["process.runtime.name"] == "cpython"
    assert found["process.command"] == sys.orig_argv[0]
    assert "process.command_args" not in found, "arguments may hold secrets"


def test_what_the_user_says_is_left_to_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK lays what it detects after a fork over everything else: the user's own must not be in it."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=a,ml.model.name=b")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "c")
    monkeypatch.setenv("MODEL_NAME", "d")
    found = ModelWatchResourceDetector().detect().attributes
    assert not {"host.name", "ml.model.name", "service.name"} & set(found)


@pytest.mark.parametrize("is_in_container", [False, True])
def test_a_machines_id_is_no_containers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_in_container: bool) -> None:
    """Containers of one image share its machine id, or have none: there, the container's id says where it is."""
    (tmp_path / "machine-id").write_text("0123\n")
    monkeypatch.setattr(resource, "_MACHINE_ID", tmp_path / "machine-id")
    monkeypatch.setattr(resource, "container_id", lambda: ID if is_in_container else None)
    found = resource.host()
    assert found.get("host.id") == (None if is_in_container else "0123")
    assert found.get("container.id") == (ID if is_in_container else None)

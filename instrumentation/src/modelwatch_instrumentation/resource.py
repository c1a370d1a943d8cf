"""Who is speaking: host, process, container, service version and model, as attributes of the resource.

The SDK runs the detector when it is set up, and anew in each process that is forked from this one. What the user says
in OTEL_RESOURCE_ATTRIBUTES counts over all of it.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from opentelemetry.sdk.resources import OTELResourceDetector, ProcessResourceDetector, Resource, ResourceDetector

from modelwatch_instrumentation.container import container_id
from modelwatch_instrumentation.conventions import MODEL_NAME, MODEL_VERSION

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "x86", "i686": "x86", "armv7l": "arm32"}
_MACHINE_ID = Path("/etc/machine-id")
_TARGET = re.compile(r"([A-Za-z_]\w*)(?:\.\w+)*:[A-Za-z_][\w.]*(?:\(\))?")
"""An application on a server's command line, such as `fraud.api:app`; the group is its package."""


class ModelWatchResourceDetector(ResourceDetector):
    """Detects what this process is; chosen by OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=modelwatch, our default."""

    def is_process_dependent(self) -> bool:
        """Tell the SDK to ask again after a fork, when the process has another id."""
        return True

    def detect(self) -> Resource:
        """Return everything that is known and that the user has not said: after a fork this goes over the user's."""
        process = dict(ProcessResourceDetector().detect().attributes)
        found = host() | process | service(os.environ, sys.orig_argv, parent_command())
        of_user = OTELResourceDetector().detect().attributes
        return Resource({key: value for key, value in found.items() if key not in of_user})


def host() -> dict[str, str]:
    """Return the host's name and architecture, and the container's id or the machine's, which an image shares."""
    found = {"host.name": socket.gethostname()}
    if machine := platform.machine():
        found["host.arch"] = _ARCHITECTURES.get(machine.lower(), machine.lower())
    if container := container_id():
        found["container.id"] = container
    elif machine_id := _machine_id():
        found["host.id"] = machine_id
    return found


def service(environ: Mapping[str, str], command: Sequence[str], parent: Sequence[str] = ()) -> dict[str, str]:
    """Return the model's and the service's name and version, from variables or the metadata of the served package.

    A service without a name takes its model's, else that of its package; the versions of the two stay apart. A worker
    that multiprocessing has started names no application on its own command line: its parent does.
    """
    package = _served_package(parent if any("multiprocessing" in one for one in command) else command)
    package_version = _version(package)
    found = {
        MODEL_NAME: environ.get("MODEL_NAME", ""),
        MODEL_VERSION: environ.get("MODEL_VERSION", ""),
        "service.name": environ.get("MODEL_NAME", "") or (package if package_version else ""),
        "service.version": environ.get("SERVICE_VERSION", "") or package_version,
    }
    return {key: value for key, value in found.items() if value}


def parent_command() -> list[str]:
    """Return the command line of the parent process, empty where the system does not show it."""
    try:
        return Path(f"/proc/{os.getppid()}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def _served_package(command: Sequence[str]) -> str:
    """Return the package of the first application that the command line names, "" without one."""
    matches = (_TARGET.fullmatch(argument) for argument in command[1:])
    return next((match.group(1) for match in matches if match), "")


def _version(package: str) -> str:
    """Return the version of the distribution of the same name, "" when none is installed."""
    try:
        return version(package) if package else ""
    except (PackageNotFoundError, ValueError):
        return ""


def _machine_id() -> str:
    try:
        return _MACHINE_ID.read_text().strip()
    except OSError:
        return ""

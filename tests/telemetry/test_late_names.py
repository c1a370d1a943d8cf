"""Names of packages that are loaded when they are first asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import query.names
import rabbitmq.names
import telemetry

FACES = {"query": query.names.__all__, "rabbitmq": rabbitmq.names.__all__, "telemetry": telemetry.__all__}


@pytest.mark.parametrize("package", FACES)
def test_every_name_that_a_room_shows_is_there_and_no_other(package: str) -> None:
    """As if all had been imported at once; what there is not is said by its name."""
    room = importlib.import_module(package)
    assert all(getattr(room, name) is not None for name in FACES[package])
    with pytest.raises(AttributeError, match=f"'{package}'|'nothing'"):
        _ = room.nothing


def test_settings_load_neither_numpy_nor_drivers() -> None:
    """Every command reads those of all rooms, and few need what the rooms do with them."""
    program = "import sys, modelwatch.settings; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "query.settings" in loaded
    assert not loaded & {"numpy", "pika", "sqlalchemy", "grpc", "fastapi", "google.protobuf", "query.component"}

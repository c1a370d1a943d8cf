"""The coverage-guided harnesses run, find nothing in a short time, and would find what they are there for."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import command, harness_names

SECONDS = 3

has_no_atheris = pytest.mark.skipif(sys.version_info >= (3, 14), reason="atheris has no wheels for this Python")


@has_no_atheris
async def test_every_harness_runs_for_a_moment_and_finds_nothing(tmp_path: Path) -> None:
    """From the seeds on, each finds new ways through the code that it drives, and no failure."""
    async with asyncio.TaskGroup() as running:
        for name in harness_names():
            running.create_task(must_find_nothing(name, tmp_path))


async def must_find_nothing(name: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command(name, SECONDS, folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await process.communicate()
    finally:
        # Where another has found something, nobody reads what this one says, and it would wait for ever.
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = said.decode(errors="replace")
    assert process.returncode == 0, f"{name}: {text[-3000:]}"
    corpus = [path.name for path in (folder / name / "corpus").iterdir()]
    assert any(not found.startswith("seed-") for found in corpus), f"{name} is blind: {text[-3000:]}"


def test_there_are_harnesses() -> None:
    """Each decoder has one."""
    assert harness_names() == ["bodies", "decompression", "json_requests", "pieces", "segments"]

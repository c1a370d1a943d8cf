"""Runs the coverage-guided harnesses: `python -m tests.fuzz [NAME ...] [--seconds S]`, or one on given inputs again.

Each runs in a process of its own, because libFuzzer ends the one that it runs in. What it finds worth keeping goes to
`test-artifacts/fuzz/<name>/corpus`, what makes a harness fail to `test-artifacts/fuzz/<name>/crash-…`.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

FOLDER = Path("test-artifacts/fuzz")
_RSS_LIMIT_MB = 1024
_HANG_S = 10
_LONGEST_BYTES = 8192


def harness_names() -> list[str]:
    """Return the names of all harnesses."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "harnesses")]))


def command(name: str, seconds: int, folder: Path = FOLDER) -> list[str]:
    """Return the command that runs one harness for so long."""
    options = ["--seconds", str(seconds), "--folder", str(folder)]
    return [sys.executable, "-m", "tests.fuzz", "--here", *options, name]


def main() -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(harness_names())} (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (default: 60)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of corpora and failures")
    parser.add_argument("--input", type=Path, action="append", default=[], help="only check these files")
    parser.add_argument("--here", action="store_true", help="run the one harness in this process")
    arguments = parser.parse_args()
    names = arguments.names or harness_names()
    if unknown := set(names) - set(harness_names()):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(harness_names())}")
    if arguments.input:
        for path in arguments.input:
            _harness(names[0]).check(path.read_bytes())
        return 0
    if arguments.here:
        _fuzz(names[0], arguments.seconds, arguments.folder / names[0])
    failed = []
    for name in names:
        print(f"\n{name}", flush=True)
        if subprocess.run(command(name, arguments.seconds, arguments.folder), check=False).returncode:
            failed.append(name)
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nnothing was found")
    return bool(failed)


def _harness(name: str) -> Any:
    return importlib.import_module(f"tests.fuzz.harnesses.{name}")


def _fuzz(name: str, seconds: int, folder: Path) -> None:
    """Fuzz until the time is over or something is found; ends the process."""
    import atheris  # has no wheels for the newest Python, and is not needed to check inputs again

    with atheris.instrument_imports(include=["otlp_receiver", "rabbit_exporter"]):
        harness = _harness(name)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(harness.seeds()):
        (corpus / f"seed-{number:04}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={_HANG_S}",
        f"-rss_limit_mb={_RSS_LIMIT_MB}",
        f"-max_len={_LONGEST_BYTES}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    if hasattr(harness, "words"):
        options.append(f"-dict={_dictionary(harness.words(), folder)}")
    mutator = {"custom_mutator": _mutator(atheris, harness.mutated)} if hasattr(harness, "mutated") else {}
    atheris.Setup([sys.argv[0], *options, str(corpus)], harness.check, internal_libfuzzer=True, **mutator)
    atheris.Fuzz()


def _mutator(atheris: Any, mutated: Callable[[bytes, Random], bytes]) -> Callable[[bytes, int, int], bytes]:
    """Return a mutator that leaves every other change to libFuzzer."""

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        if seed % 2:
            return bytes(atheris.Mutate(data, max_size))
        return mutated(bytes(data), Random(seed))[:max_size]

    return mutate


def _dictionary(words: list[bytes], folder: Path) -> Path:
    path = folder / "words.dict"
    path.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words))
    return path


if __name__ == "__main__":
    sys.exit(main())

"""Runs the benchmarks and prints one table; the same goes as JSON into bench-results/.

`python -m benchmarks decoding storage` runs only those named; some run only when they are.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import pkgutil
import platform
import sys
import time
from pathlib import Path
from typing import Any

import structlog

import benchmarks

RESULTS = Path("bench-results")
ONLY_BY_NAME = ("flat_memory",)  # takes minutes


def main() -> int:
    """Run what was asked for; return the exit code."""
    known = sorted(
        module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")
    )
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"any of: {', '.join(known)} (default: all but {', '.join(ONLY_BY_NAME)})",
    )
    names = parser.parse_args().names or [name for name in known if name not in ONLY_BY_NAME]
    if unknown := set(names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    # Between the rows only what is wrong belongs.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    results: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    for name in names:
        print(f"\n{name}", flush=True)
        began = time.monotonic()
        rows = importlib.import_module(f"benchmarks.{name}").run()
        results[name] = rows
        for row in rows:
            print(f"  {row['name']:<62} {_shown(row['value']):>14} {row['unit']}", flush=True)
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nwritten to {path}")
    return 0


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


if __name__ == "__main__":
    sys.exit(main())

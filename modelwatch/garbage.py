"""Python's garbage collection, set for long-lived processes full of data.

Called by every role once its components are made, before they start.
"""

from __future__ import annotations

import gc


def calm_garbage_collection() -> None:
    """Make full collections rare, and small.

    A filled live window is hundreds of thousands of objects without a cycle among them; going through all of them
    stopped the process for up to 1.6 s on a busy machine (benchmarks/query.py). What is loaded by now stays anyway.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

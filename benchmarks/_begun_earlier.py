"""`modelwatch`, whose live window counts as complete since a quarter of an hour before the start.

Run by `_full_window.py` on a database without anything in that time: then it is true, and calls that are sent late fill
the window at once, for which a benchmark would wait minutes.
"""

from __future__ import annotations

import sys
import time

from modelwatch.cli import main
from storage.in_process_live_feed import InProcessLiveFeed

BEFORE_S = 900


def _long_ago_s(feed: InProcessLiveFeed) -> int:
    return int(time.time()) - BEFORE_S


if __name__ == "__main__":
    InProcessLiveFeed._next_second = _long_ago_s  # type: ignore[method-assign]
    sys.exit(main())

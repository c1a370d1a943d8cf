"""The questions people ask, and their answers; what pages, API and alerts need of the rooms below.

Its settings are read by every process, so that all else is loaded only where it is used.
"""

from typing import TYPE_CHECKING

from telemetry.late_names import late_names

if TYPE_CHECKING:
    from query.names import *  # noqa: F403 (which names, that module says)
else:  # what checks types would take any name for one that there is
    __getattr__ = late_names(__name__, lambda _name: "query.names")

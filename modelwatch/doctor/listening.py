"""Where a server listens: the TCP ports of its processes."""

from __future__ import annotations

from collections.abc import Sequence

import psutil


def process_tree(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants that are there now."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def listening_addresses(processes: Sequence[psutil.Process], arguments: Sequence[str]) -> list[tuple[str, int]]:
    """Return host and port of every listening socket, those first whose port the command names."""
    found: set[tuple[str, int]] = set()
    for process in processes:
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        for one in connections:
            if one.status == psutil.CONN_LISTEN:
                found.add(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(one.laddr.ip, one.laddr.ip), one.laddr.port))
    named = " ".join(arguments)
    return sorted(found, key=lambda address: (str(address[1]) not in named, address))


def end_all(processes: Sequence[psutil.Process]) -> None:
    """Kill those that are still there; a process id that was given to another since is left alone."""
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                process.kill()
        except psutil.Error:
            continue

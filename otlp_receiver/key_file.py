"""The form of a file of ingest keys: separated by commas or line ends, with comments after `#`.

Read by the component while it runs, so that keys can be renewed; also by whoever needs a key to send with.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from otlp_receiver.watched_files import read_secret
from telemetry import StartError

KEYS_FILE_SETTING: Final = "MODELWATCH_INGEST_KEYS_FILE"

_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#[^\r\n]*", re.MULTILINE)
_SEPARATOR: Final = re.compile(r"[,\r\n]")


def read_keys(path: Path) -> tuple[SecretStr, ...]:
    """Return the keys in the file. Raises `StartError` if it cannot be read or holds none."""
    return parse_keys(path, read_secret(KEYS_FILE_SETTING, path))


def parse_keys(path: Path, content: bytes) -> tuple[SecretStr, ...]:
    """Return the keys in `content`, which is what the file at `path` holds. Raises `StartError` if there is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise StartError(f"{KEYS_FILE_SETTING}: {path} is not UTF-8") from None
    keys = (part.strip() for part in _SEPARATOR.split(_COMMENT.sub("", text)))
    found = tuple(SecretStr(key) for key in keys if key)
    if not found:
        # An empty file must not open the receiver that somebody meant to close.
        raise StartError(f"{KEYS_FILE_SETTING}: {path} holds no key")
    return found

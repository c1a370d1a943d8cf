"""The settings of this process as the page shows them: each with its value, where that came from, and its meaning.

Pure, from the tree and the environment. What a secret is set to never leaves it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from dash_app.configuration.known_setting import KnownSetting, Source
from modelwatch.settings import Settings
from modelwatch.settings_sources import FILE_SUFFIX, is_secret, leaves_of, variable_of

_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")


def known_settings(settings: Settings, environ: Mapping[str, str]) -> tuple[KnownSetting, ...]:
    """Return every setting, in the order of docs/settings.md."""
    return tuple(_known(settings, path, field, environ) for path, field in leaves_of(Settings))


def _known(settings: Settings, path: tuple[str, ...], field: Any, environ: Mapping[str, str]) -> KnownSetting:
    owner: Any = settings
    is_set = path[0] in settings.model_fields_set
    for name in path[:-1]:
        owner = getattr(owner, name)
    is_set = is_set and path[-1] in owner.model_fields_set
    variable = variable_of(path)
    hidden = is_secret(field.annotation)
    source: Source = "default"
    if variable in environ or (hidden and variable + FILE_SUFFIX in environ):
        source = "environment"
    elif is_set:
        source = "file"
    value, default = getattr(owner, path[-1]), field.get_default(call_default_factory=True)
    return KnownSetting(
        ".".join(path),
        variable,
        ("set" if _is_filled(value) else "not set") if hidden else text_of(value),
        "" if hidden or default is PydanticUndefined else text_of(default),
        source,
        field.description or "",
        hidden,
    )


def text_of(value: Any) -> str:
    """Return a value as it is written in the environment, credentials in addresses left out."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | frozenset):
        return ",".join(map(text_of, value))
    if isinstance(value, BaseModel):
        return text_of(list(value.model_dump().values()))
    if isinstance(value, Enum):
        return text_of(value.value)
    return _CREDENTIALS.sub("//…@", str(value))


def _is_filled(value: Any) -> bool:
    return bool(value.get_secret_value()) if isinstance(value, SecretStr) else bool(value)

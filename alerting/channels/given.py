"""A channel as somebody gives it on the page or by the API, and as it is kept: with what stays of its secrets.

Pure. Secrets go one way: whoever leaves one out keeps what is there, but nobody is ever shown it, and where the URL
changes nothing is kept, as else it would be sent to whatever address the next editor writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from alerting.channels.settings import ChannelFaultError, ChannelSettings
from alerting.mistakes import words_of
from alerting.notification import Severity, Told
from query import QuestionError

SECRETS: Final = ("url", "signing_secret", "authorization")
FOLDER_SETTING: Final = "MODELWATCH_ALERTS__CHANNEL_FILES_DIR"
_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_LONGEST_DOCUMENT: Final = 16_384
_LONGEST_SECRET: Final = 4_096
_FILE_HELP: Final = f"Name of a file in the folder of `{FOLDER_SETTING}`, in its place."


class GivenChannel(BaseModel):
    """A channel without its name. Of a change, secrets that are left out stay as they are; `null` takes one away."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretStr | None = Field(
        None, max_length=_LONGEST_SECRET, description="`https://…` for a webhook, else an Apprise URL."
    )
    url_file: str | None = Field(None, max_length=100, description=_FILE_HELP)
    signing_secret: SecretStr | None = Field(
        None, max_length=_LONGEST_SECRET, description="Signs the body of a webhook."
    )
    signing_secret_file: str | None = Field(None, max_length=100, description=_FILE_HELP)
    authorization: SecretStr | None = Field(
        None, max_length=_LONGEST_SECRET, description="The `Authorization` header of a webhook."
    )
    authorization_file: str | None = Field(None, max_length=100, description=_FILE_HELP)
    min_severity: Severity = Field(Severity.WARNING, description="Nothing milder goes there.")
    states: tuple[Told, ...] = Field(tuple(Told), min_length=1, max_length=3, description="What goes there.")
    labels: Mapping[str, str] = Field({}, max_length=16, description="Labels that an alert must have; with `*`.")
    max_per_minute: int = Field(10, ge=1, le=600, description="More messages than these wait, and leave as one.")


def channel_of(name: str, given: GivenChannel, held: ChannelSettings | None) -> ChannelSettings:
    """Return what is to be kept; files are names in the folder. Raises `QuestionError`, with no secret in it."""
    fields: dict[str, Any] = {"name": name, **given.model_dump(include={"min_severity", "states", "labels"})}
    fields["max_per_minute"] = given.max_per_minute
    for secret in SECRETS:
        fields |= _secret_of(secret, given, held)
    made = _valid(fields)
    if len(document_of(made)) > _LONGEST_DOCUMENT:
        raise QuestionError("labels", f"a channel has at most {_LONGEST_DOCUMENT:,} characters in all")
    if made.url_file is None and (made.signing_secret_file or made.authorization_file):
        # Else an editor could have any secret of the folder sent to an address of their own.
        raise QuestionError("url_file", "where another secret is in a file, the url must be in one too")
    if held is not None and (made.url, made.url_file) != (held.url, held.url_file):
        for secret in SECRETS[1:]:
            is_held = getattr(held, secret) is not None or getattr(held, f"{secret}_file") is not None
            if is_held and not _says(secret, given):
                raise QuestionError(
                    secret, "give it anew, or null to take it away: where the url changes, no other secret is kept"
                )
    return made


def document_of(channel: ChannelSettings) -> str:
    """Return the text that is kept, secrets in it."""
    fields = channel.model_dump(mode="json", exclude_none=True, exclude={"name", *SECRETS})
    for secret in SECRETS:
        if (value := getattr(channel, secret)) is not None:
            fields[secret] = value.get_secret_value()
    return json.dumps(fields, sort_keys=True)


def channel_in(name: str, document: str) -> ChannelSettings | None:
    """Read a channel that is kept; `None` for what a newer ModelWatch wrote."""
    try:
        return ChannelSettings.model_validate({"name": name, **json.loads(document)})
    except (ValueError, TypeError):
        return None


def with_files(channel: ChannelSettings, folder: Path | None) -> ChannelSettings:
    """Return the channel with the paths of its files. Raises `StartError` where this process has no folder for them."""
    named = {f"{secret}_file": getattr(channel, f"{secret}_file") for secret in SECRETS}
    if not any(named.values()):
        return channel
    if folder is None:
        file = next(field for field, path in named.items() if path is not None)
        raise ChannelFaultError(
            f"channel {channel.name!r}: it names a file, and {FOLDER_SETTING} is not set here", field=file
        )
    return channel.model_copy(update={field: folder / path for field, path in named.items() if path is not None})


def told_of(channel: ChannelSettings, kind: str) -> dict[str, Any]:
    """Return what may be shown and noted of a channel: everything but its secrets, of which only whether there are."""
    told = channel.model_dump(mode="json", exclude={*SECRETS, *(f"{secret}_file" for secret in SECRETS)})
    return {**told, "kind": kind, "secrets": secrets_of(channel), "files": files_of(channel)}


def secrets_of(channel: ChannelSettings) -> list[str]:
    """Return the names of the secrets that are kept."""
    return [secret for secret in SECRETS if getattr(channel, secret) is not None]


def files_of(channel: ChannelSettings) -> dict[str, str]:
    """Return the files that take the place of secrets, without their folder."""
    paths = {f"{secret}_file": getattr(channel, f"{secret}_file") for secret in SECRETS}
    return {field: path.name for field, path in paths.items() if path is not None}


def _says(secret: str, given: GivenChannel) -> bool:
    return bool({secret, f"{secret}_file"} & given.model_fields_set)


def _secret_of(secret: str, given: GivenChannel, held: ChannelSettings | None) -> dict[str, Any]:
    file = f"{secret}_file"
    if not _says(secret, given):
        return {} if held is None else {secret: getattr(held, secret), file: getattr(held, file)}
    name = getattr(given, file)
    if name is not None and not _FILE.fullmatch(name):
        raise QuestionError(file, "must be the name of a file, without a folder")
    value = getattr(given, secret)
    if value is not None and not value.get_secret_value().strip():
        raise QuestionError(secret, "must not be empty; null takes it away")
    return {secret: value, file: name}


def _valid(fields: Mapping[str, Any]) -> ChannelSettings:
    try:
        return ChannelSettings.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = next((part for part in first["loc"] if isinstance(part, str)), "url")
        raise QuestionError(place, words_of(first)) from None

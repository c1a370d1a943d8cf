"""The form in which a channel is made or changed: its fields, what stands in them, and the channel that they say.

Pure; `channel_editor.py` moves values between the form and the book. Fields of secrets are always empty at first: what
is kept is shown to nobody, and stays where nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component
from pydantic import ValidationError

from alerting.channels.book import KnownChannel
from alerting.channels.given import SECRETS, GivenChannel, files_of, secrets_of
from alerting.mistakes import words_of
from alerting.notification import Severity, Told
from dash_app.alerts.form import FormError, labels_of, number_of
from dash_app.shared.editing import editors_only

FIELDS: Final = (
    "name",
    "url",
    "min_severity",
    "states",
    "labels",
    "max_per_minute",
    "signing_secret",
    "authorization",
    "url_file",
    "signing_secret_file",
    "authorization_file",
    "forget",
)
"""In the order of the form."""
_FILES: Final = tuple(f"{secret}_file" for secret in SECRETS)
EMPTY: Final[Sequence[Any]] = (
    *("", "", Severity.WARNING.value, [told.value for told in Told], "", "10"),
    *("", "", "", "", "", False),
)
_FOLDER: Final = "A file's name in the folder of MODELWATCH_ALERTS__CHANNEL_FILES_DIR"


def field_id(name: str) -> str:
    """Return the id of the component of a field."""
    return f"channel-{name.replace('_', '-')}"


def property_of(name: str) -> str:
    """Return where that component keeps its value."""
    return "checked" if name == "forget" else "value"


def form() -> Component:
    """Return the form, empty."""
    looked_at = {"aria-label": "Show what is written"}
    secret: dict[str, Any] = {"size": "xs", "autoComplete": "off", "visibilityToggleButtonProps": looked_at}
    main = [
        dmc.TextInput(id=field_id("name"), label="Name", description="Small letters, digits, . - _", size="xs"),
        dmc.PasswordInput(
            id=field_id("url"), label="URL", description="https://… for a webhook, slack://…, mailtos://…", **secret
        ),
        dmc.Select(
            id=field_id("min_severity"),
            label="From",
            description="Nothing milder goes there",
            data=[severity.value for severity in Severity],
            value=EMPTY[2],
            allowDeselect=False,
            size="xs",
        ),
        dmc.CheckboxGroup(
            html.Div(
                [dmc.Checkbox(label=told.value.replace("_", " "), value=told.value, size="xs") for told in Told],
                className="channel-states",
            ),
            id=field_id("states"),
            label="Told",
            value=EMPTY[3],
            size="xs",
        ),
        dmc.TextInput(id=field_id("labels"), label="Only of", description="service=fraud-*; all without it", size="xs"),
        dmc.TextInput(
            id=field_id("max_per_minute"),
            label="Messages a minute",
            description="More wait, and leave as one",
            value=EMPTY[5],
            size="xs",
        ),
    ]
    more = [
        dmc.PasswordInput(id=field_id("signing_secret"), label="Signing secret", description="Of a webhook", **secret),
        dmc.PasswordInput(
            id=field_id("authorization"), label="Authorization", description="Of a webhook: the header", **secret
        ),
        dmc.TextInput(id=field_id("url_file"), label="File of the URL", description=_FOLDER, size="xs"),
        dmc.TextInput(
            id=field_id("signing_secret_file"), label="File of the signing secret", description=_FOLDER, size="xs"
        ),
        dmc.TextInput(
            id=field_id("authorization_file"), label="File of the authorization", description=_FOLDER, size="xs"
        ),
        dmc.Switch(id=field_id("forget"), label="Take away both where nothing is written", checked=False, size="xs"),
    ]
    return editors_only(
        [
            html.Div(html.H2("New channel", id="channel-title"), className="card-head"),
            html.Div("", id="channel-kept", className="settings-note"),
            html.Div(main, className="form-grid"),
            html.Details(
                [html.Summary("More"), html.Div(more, className="form-grid")],
                className="form-more",
            ),
            html.Div(
                [
                    html.Button("Save", id="channel-save", className="act is-main", n_clicks=0),
                    html.Button("Cancel", id="channel-cancel", className="act is-quiet", n_clicks=0),
                    html.Span(id="channel-note", className="rule-note", role="status"),
                ],
                className="form-foot",
            ),
        ],
        class_name="card alerts-card channel-editor",
    )


def values_of(known: KnownChannel) -> Sequence[Any]:
    """Return what stands in the fields for a channel, in the order of `FIELDS`."""
    settings = known.settings
    if settings is None:
        return [known.name, *EMPTY[1:]]
    files = files_of(settings)
    labels = ", ".join(f"{label}={pattern}" for label, pattern in settings.labels.items())
    states = [told.value for told in settings.states]
    shown = [known.name, "", settings.min_severity.value, states, labels, str(settings.max_per_minute), "", ""]
    return [*shown, *(files.get(field, "") for field in _FILES), False]


def kept_words(known: KnownChannel) -> str:
    """Return what is said above the form of a channel of whose secrets some are kept."""
    kept = [secret.replace("_", " ") for secret in secrets_of(known.settings)] if known.settings else []
    if not kept:
        return ""
    return f"Kept and not shown: {', '.join(kept)}. Where nothing is written they stay."


def given_of(values: Sequence[Any]) -> tuple[str, GivenChannel]:
    """Return the name and the channel that the fields say. Raises `FormError`, with no secret in it."""
    said = dict(zip(FIELDS, values, strict=True))
    text = {name: str(value or "").strip() for name, value in said.items()}
    document: dict[str, Any] = {"min_severity": said["min_severity"], "states": said["states"] or []}
    problems: dict[str, str] = {}
    for field, read in (("labels", labels_of), ("max_per_minute", number_of)):
        try:
            document[field] = read(text[field])
        except ValueError as error:
            problems[field] = str(error)
    if problems:
        raise FormError(problems)
    if said["forget"]:
        document |= {"signing_secret": None, "authorization": None}
    document |= {field: text[field] for field in (*SECRETS, *_FILES) if text[field]}
    try:
        return text["name"], GivenChannel.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise FormError({str(one["loc"][0]): words_of(one) for one in found}) from None

"""What people do on the page: give a setting another value, put it back.

Everything goes to the desk that the API goes to as well, with its checks and its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from dash import ClientsideFunction, Dash, Input, Output

from access.identity import LOCAL_NAME, name_of_writer, require_editor
from dash_app.configuration.live import STORE
from dash_app.configuration.values import text_of, value_of
from telemetry import ModelWatchError
from tuning.desk import TuningDesk

log = structlog.get_logger(__name__)

Outcome = tuple[str, str]
"""What to say, and the class that tells whether it went well."""

_LONGEST: Final = 20_000


def register(dash: Dash, desk: TuningDesk) -> None:
    """Give the page its callback."""

    async def act(action: dict[str, Any] | None) -> Outcome:
        try:
            require_editor()
            return await _act(desk, action or {}), "alerts-outcome is-good"
        except ModelWatchError as error:
            return _sentence(str(error)), "alerts-outcome is-bad"
        except Exception:
            log.exception("nothing came of what was asked for on the page of settings")
            return "ModelWatch made a mistake; its log says more.", "alerts-outcome is-bad"

    outputs = [Output("settings-outcome", name) for name in ("children", "className")]
    dash.callback(*outputs, Input(STORE, "data"), prevent_initial_call=True)(act)
    forget = ClientsideFunction("modelwatch", "forgetOutcome")
    said = [Input("settings-outcome", name) for name in ("children", "className")]
    dash.clientside_callback(forget, *said, prevent_initial_call=True)  # type: ignore[no-untyped-call]


async def _act(desk: TuningDesk, action: Mapping[str, Any]) -> str:
    """Do what an editor in the list says; what it says comes from a browser and may be anything."""
    name, by = str(action.get("name", "")), name_of_writer(LOCAL_NAME)
    if action.get("do") == "reset":
        put_back = await desk.reset(name, by)
        return f"{name} is {text_of(name, put_back.value)} again."
    kind = str(desk.setting(name).schema.get("type", "string"))
    value = value_of(name, kind, str(action.get("value", ""))[:_LONGEST])
    found = await desk.change(name, value, by)
    return f"{name} is {text_of(name, found.value)}."


def _sentence(text: str) -> str:
    first = text.partition(" ")[0].rstrip(":")
    is_name = "_" in first or "." in first  # of a setting, which is written as it is
    return f"{text[:1] if is_name else text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"

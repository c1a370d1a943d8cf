"""Descriptions of settings, as components."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component


def with_code(text: str) -> list[Component | str]:
    """Return a description with what stands between backticks as code."""
    return [html.Code(part) if index % 2 else part for index, part in enumerate(text.split("`"))]

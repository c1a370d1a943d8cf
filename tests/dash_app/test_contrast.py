"""Colours stand out as the Web Content Accessibility Guidelines 2.2 ask (1.4.3 for text, 1.4.11 for graphics)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dash_app
from dash_app.shared import palette

THEME = (Path(dash_app.__file__).parent / "assets" / "theme.css").read_text()
SURFACES = ("page", "panel", "hover", "chosen")


def variables(selector: str) -> dict[str, str]:
    block = THEME.split(f"{selector} {{", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


SCHEMES = {"dark": variables(":root"), "light": variables(':root[data-mantine-color-scheme="light"]')}


def channels(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def luminance(rgb: list[float]) -> float:
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: list[float], second: list[float]) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_stands_out_from_every_surface(scheme: str) -> None:
    """At least 4.5 to 1 in both colour schemes, also for the colours of a status."""
    colours = SCHEMES[scheme]
    for text in ("text", "muted", "accent", "healthy", "degraded", "critical"):
        for surface in SURFACES:
            assert contrast(channels(colours[text]), channels(colours[surface])) >= 4.5, (text, surface)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pills_stand_out_from_their_own_tint(scheme: str) -> None:
    """A pill's text lies on 13 % of its own colour over the panel or a hovered or chosen row."""
    colours = SCHEMES[scheme]
    for status in ("healthy", "degraded", "critical", "muted"):
        for surface in ("panel", "hover", "chosen"):
            ink, under = channels(colours[status]), channels(colours[surface])
            tint = [0.13 * above + 0.87 * below for above, below in zip(ink, under, strict=True)]
            assert contrast(ink, tint) >= 4.5, (status, surface)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_lines_stand_out_from_the_panel(scheme: str) -> None:
    """Colours of figures serve both schemes, at least 3 to 1."""
    lines = {*palette.SERIES, palette.OTHERS, palette.P50, palette.P95, palette.P99}
    for colour in lines | {palette.CLIENT_ERRORS, palette.SERVER_ERRORS}:
        assert contrast(channels(colour), channels(SCHEMES[scheme]["panel"])) >= 3, colour


def test_services_keep_their_colours_while_others_come_and_go() -> None:
    """A name's colour depends on all known names, not on which are shown; two shown names share none."""
    known = [f"service-{number:02}" for number in range(20)]
    first = palette.colours_of(known[:6], known)
    second = palette.colours_of(reversed(known[1:7]), known)
    assert len(set(first.values())) == 6
    assert {name: first[name] for name in known[1:6]} == {name: second[name] for name in known[1:6]}
    assert len(set(palette.colours_of([known[0], known[7]], known).values())) == 2

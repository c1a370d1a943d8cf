"""Routes for spans that name none: the path with everything that looks like a value taken out of it.

Asked by the decoder for HTTP server spans without `http.route`. A path is chosen by whoever sends the request, so the
number of templates is bounded for each service, and paths that the server did not know have no route at all.
"""

from __future__ import annotations

import re
from typing import Final

_MAX_SEGMENTS: Final = 8
_MAX_PATH_CHARS: Final = 1024
_PLACEHOLDER: Final = "{id}"

_LOOKS_LIKE_A_NAME: Final = re.compile(r"v\d{1,3}|[A-Za-z][A-Za-z_.\-]{0,31}|[A-Za-z][A-Za-z_\-]{0,15}\d?")
"""Words of letters, an API's version, a word with one digit at its end (`model2`); anything else may be a value."""
_HEX: Final = re.compile(r"[0-9a-fA-F]{8,}")


class PathTemplates:
    """Remembers which templates it gave out; not for several threads at once."""

    def __init__(self, max_per_service: int, max_services: int) -> None:
        self._max_per_service = max_per_service
        self._max_services = max_services
        self._given: dict[str, set[str]] = {}

    def template_of(self, service_name: str, path: str) -> str:
        """Return the template of a path such as `/users/42?x=1`, empty once the service has as many as it may have."""
        template = clean_path(path)
        given = self._given.get(service_name)
        if given is None:
            if len(self._given) >= self._max_services:
                self._given.clear()
            given = self._given[service_name] = set()
        if template not in given:
            if len(given) >= self._max_per_service:
                return ""
            given.add(template)
        return template


def clean_path(path: str) -> str:
    """Return `/users/{id}` for `/users/42?x=1`, and `/a/b/c/d/e/f/g/*` for what is deeper than eight segments."""
    path = re.split(r"[?#;]", path[:_MAX_PATH_CHARS], maxsplit=1)[0]
    if "://" in path:
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    segments = [_clean_segment(segment) for segment in path.split("/") if segment]
    if len(segments) > _MAX_SEGMENTS:
        segments[_MAX_SEGMENTS - 1 :] = ["*"]
    return "/" + "/".join(segments)


def _clean_segment(segment: str) -> str:
    is_name = _LOOKS_LIKE_A_NAME.fullmatch(segment) and not _HEX.fullmatch(segment)
    return segment if is_name else _PLACEHOLDER

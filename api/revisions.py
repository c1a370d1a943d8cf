"""Revisions as ETags: what was read is changed only while it is still what was read (RFC 9110, 13.1.1).

Shared by the modules of routes whose things have a revision.
"""

from __future__ import annotations

import re
from typing import Final

from fastapi import HTTPException, Request
from starlette.responses import Response

from api.documents import Json, json_response

_ETAG: Final = re.compile(r'(W/)?"(\d{1,18})"')


def revised_response(document: Json, status: int = 200) -> Response:
    """Return a document whose `revision` is its ETag."""
    answer = json_response(document, status)
    answer.headers["ETag"] = f'"{document["revision"]}"'
    return answer


def expected_revision(request: Request) -> int | None:
    """Return the revision that `If-Match` names, `None` if it names any."""
    text = request.headers.get("if-match", "*").strip()
    if text == "*":
        return None
    match = _ETAG.fullmatch(text)
    if match is None:
        raise HTTPException(412, 'If-Match: give the ETag that was read, such as "3"')
    return int(match[2])


def conflict_status(request: Request) -> int:
    """Return what says that it is not what was expected: that of the precondition where one was made."""
    return 412 if "if-match" in request.headers else 409

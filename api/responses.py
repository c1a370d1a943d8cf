"""What the routes say of their answers in the OpenAPI document: an example, and how they refuse.

Shared by the modules of routes.
"""

from __future__ import annotations

from typing import Any, Final

from api.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]


def answers(example: dict[str, Any]) -> Responses:
    """Return the description of a success with an example."""
    return {200: {"content": {"application/json": {"example": example}}}}


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


QUESTION_ERRORS: Final[Responses] = {
    422: _problem("A parameter is unknown, malformed or out of bounds; `errors` names it and says what is allowed."),
    503: {
        **_problem("The history is needed and does not answer; ask again after `Retry-After` seconds."),
        "headers": {"Retry-After": {"schema": {"type": "integer"}}},
    },
}

PAGE_ERRORS: Final[Responses] = {
    400: _problem("`cursor` is not the `next_cursor` of an answer to this question: begin again without it."),
    **QUESTION_ERRORS,
}

CHANGE_ERRORS: Final[Responses] = {
    403: _problem("Whoever asks is no editor, or a web page of another origin asks."),
    404: _problem("There is nothing of this id."),
    409: _problem("There is one of this id already, it was changed meanwhile, or there is no room for another."),
    412: _problem("It is not what `If-Match` expects: somebody else changed it."),
    422: _problem("A field is unknown, malformed or out of bounds; `errors` names it and says what is allowed."),
    503: QUESTION_ERRORS[503],
}

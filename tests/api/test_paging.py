"""Lists a page at a time: nothing is left out and nothing comes twice, whatever comes and goes meanwhile."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.paging import PageParameters, page_of, place_of
from query import QuestionError
from telemetry import SeriesKey
from tests.api.conftest import Served
from tests.support.calls import point
from tests.support.query_world import NOW_S, make_world

SERVICES = 23


class Question(PageParameters):
    """A question with one parameter of its own."""

    about: str = "all"


Keys = st.tuples(st.integers(-5, 5), st.text(max_size=3))


@given(st.sets(Keys, max_size=40), st.integers(1, 9), st.data())
def test_pages_add_up_to_the_whole(items: set[Any], limit: int, data: st.DataObject) -> None:
    """In order, each once; what is taken away or comes between two pages moves no other."""
    lasting = set(items)
    seen: list[Any] = []
    cursor = None
    while True:
        parameters = Question(limit=limit, cursor=cursor)
        shown, cursor = page_of(list(items), lambda one: one, parameters, place_of(parameters, 1), (7,))
        assert len(shown) <= limit
        seen += shown
        if cursor is None:
            break
        assert shown
        for gone in data.draw(st.sets(st.sampled_from(sorted(items)), max_size=2)):
            items = items - {gone}
            lasting.discard(gone)
        items = items | data.draw(st.sets(Keys, max_size=2))
    assert seen == sorted(set(seen))
    assert lasting <= set(seen)


def _cursor(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@given(
    st.text(max_size=30)
    | st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)
    ).map(_cursor)
)
def test_what_is_no_cursor_is_told_from_one(text: str) -> None:
    """Whatever it is, the answer names the parameter."""
    with pytest.raises(QuestionError) as found:
        place_of(Question(cursor=text))
    assert found.value.parameter == "cursor"


def test_a_cursor_belongs_to_its_question() -> None:
    """The page may be of another length; all else must be as it was, the kind of list too."""
    first = Question(limit=1)
    _, cursor = page_of(["a", "b"], lambda one: (one,), first, None)
    assert place_of(Question(limit=5, cursor=cursor))
    for other, times in ((Question(about="one", cursor=cursor), 0), (Question(cursor=cursor), 1)):
        with pytest.raises(QuestionError, match=r"question|next_cursor"):
            place_of(other, times)
    place = place_of(Question(cursor=cursor))
    with pytest.raises(QuestionError, match="next_cursor"):
        page_of([1, 2], lambda one: (one,), first, place)


@pytest.fixture
async def crowded() -> AsyncIterator[httpx.AsyncClient]:
    """More services than fit on a page, of which some are in trouble."""
    world = make_world()
    for number in range(SERVICES):
        series = SeriesKey(f"service-{number:02}", "1.0", "a", "prod", http_route="/predict", http_status_class="2xx")
        for age_s in range(1, 40):
            await world.commit(point(series, NOW_S - age_s, [1.5 if number % 3 == 0 else 0.01]))
    async with Served(world).client() as client:
        yield client


async def _pages(client: httpx.AsyncClient, url: str, limit: int) -> list[dict[str, Any]]:
    pages: list[dict[str, Any]] = []
    cursor = None
    while cursor is not None or not pages:
        asked = httpx.URL(url).copy_merge_params({"limit": limit, **({"cursor": cursor} if cursor else {})})
        answer = await client.get(asked)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        cursor = pages[-1]["next_cursor"]
    return pages


@pytest.mark.parametrize("url", ["/api/v1/services", "/api/v1/red"])
async def test_all_pages_are_of_the_same_time(crowded: httpx.AsyncClient, url: str) -> None:
    """Together they are the whole answer, in its order; the total is of everything on each of them."""
    whole = (await crowded.get(url)).json()
    assert whole["next_cursor"] is None
    pages = await _pages(crowded, url, 5)
    assert [len(page["items"]) for page in pages] == [5, 5, 5, 5, 3]
    assert [item for page in pages for item in page["items"]] == whole["items"]
    for name in whole.keys() - {"items", "next_cursor"}:
        assert all(page[name] == whole[name] for page in pages), name


async def test_a_cursor_that_is_none_is_a_problem(crowded: httpx.AsyncClient) -> None:
    """400 with the parameter's name, on every list."""
    paths = (await crowded.get("/openapi.json")).json()["paths"]
    lists = [path for path, one in paths.items() if "cursor" in str(one["get"].get("parameters"))]
    assert len(lists) == 5
    cursor = (await _pages(crowded, "/api/v1/services?window=10m", 20))[0]["next_cursor"]
    for path in lists:
        for wrong in ("", "x", "%FF", "W10=", "x" * 40_000, cursor):
            answer = await crowded.get(f"{path}?cursor={wrong}")
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (400, "cursor")

"""Spans in their places, whatever they say of their parents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from query.traces.reading import spans_in_order
from telemetry import KeptSpan
from telemetry.kept_span import pack_detail
from tests.storage.test_kept_spans import kept_span


def child(span: int, parent: int | None, detail: bytes = b"") -> KeptSpan:
    parent_id = b"" if parent is None else parent.to_bytes(8, "big")
    return kept_span(span, parent_span_id=parent_id, detail=detail)


def test_children_stand_below_their_parent_in_the_order_given() -> None:
    """Each below its parent, before whatever follows the parent."""
    found = spans_in_order([child(1, None), child(2, 1), child(3, 1), child(4, 2), child(5, 99)])
    assert [(int(one.request.span_id, 16), one.depth) for one in found] == [(1, 0), (2, 1), (4, 2), (3, 1), (5, 0)]
    assert [one.is_parent_missing for one in found] == [False, False, False, False, True]


@given(st.lists(st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 12))), max_size=30))
def test_every_span_has_one_place(edges: list[tuple[int, int | None]]) -> None:
    """With circles, with spans that are their own parents and with repeats: each once, none below itself."""
    found = spans_in_order([child(span, parent) for span, parent in edges])
    assert sorted(int(one.request.span_id, 16) for one in found) == sorted({span for span, _ in edges})


def test_ten_thousand_spans_below_each_other_are_no_trouble() -> None:
    """Depth is not bounded by how deep Python calls itself."""
    found = spans_in_order([child(number, number - 1 or None) for number in range(1, 10_001)])
    assert (len(found), found[-1].depth) == (10_000, 9_999)


def test_a_detail_that_cannot_be_read_hides_no_span() -> None:
    """Neither damaged compression nor bytes that are no span."""
    for detail in (b"\x01nonsense", b"\x02unknown", pack_detail(b"\xff\xff"), b""):
        assert spans_in_order([child(1, None, detail)])[0].attributes == {}

"""Which process is a restart of which."""

from __future__ import annotations

from container_stats.process_lines import Place, ProcessKey, ProcessLines

SHOP = (("service.name", "shop"), ("service.version", "1"))
NEW = (("service.name", "shop"), ("service.version", "2"))


def test_a_crash_loop_is_one_line() -> None:
    """However often it ends, the process that comes next is a restart in the line of the first."""
    lines = ProcessLines()
    assert lines.update({ProcessKey(1, 90): SHOP}, 100) == {ProcessKey(1, 90): Place(1, False)}
    for number in range(2, 6):
        now_s = 100 + 30 * number
        assert lines.update({}, now_s) == {}
        key = ProcessKey(number, now_s + 5)
        assert lines.update({key: SHOP}, now_s + 10) == {key: Place(1, True)}
        assert lines.update({key: SHOP}, now_s + 20) == {key: Place(1, True)}, "it stays one"


def test_an_end_and_a_start_between_two_samples_are_a_restart() -> None:
    """Neither needs a sample of its own."""
    lines = ProcessLines()
    lines.update({ProcessKey(1, 90): SHOP}, 100)
    assert lines.update({ProcessKey(2, 104): SHOP}, 110) == {ProcessKey(2, 104): Place(1, True)}


def test_further_instances_releases_and_late_starts_are_no_restarts() -> None:
    """Another version, one that was there before the end, one more beside it, and one that comes minutes later."""
    lines = ProcessLines()
    lines.update({ProcessKey(1, 90): SHOP, ProcessKey(2, 90): SHOP}, 100)
    more = {ProcessKey(1, 90): SHOP, ProcessKey(2, 90): SHOP, ProcessKey(3, 105): SHOP}
    assert lines.update(more, 110)[ProcessKey(3, 105)] == Place(3, False)
    left = {ProcessKey(2, 90): SHOP, ProcessKey(3, 105): SHOP}
    assert lines.update(left | {ProcessKey(4, 121): NEW}, 130)[ProcessKey(4, 121)] == Place(4, False)
    before = ProcessKey(5, 80)  # it was there before the end, and is only seen now
    assert lines.update(left | {before: SHOP}, 140)[before] == Place(5, False)
    late = ProcessKey(6, 130 + 61)
    assert lines.update(left | {before: SHOP, late: SHOP}, 200)[late] == Place(6, False)


def test_several_that_are_started_anew_together_are_one_restart_each() -> None:
    """Four processes of a service, restarted by hand, are in four lines: nothing restarts again and again."""
    lines = ProcessLines()
    lines.update({ProcessKey(number, 90): SHOP for number in range(1, 5)}, 100)
    places = lines.update({ProcessKey(number, 105): SHOP for number in range(5, 9)}, 110)
    assert sorted(places.values()) == [Place(line, True) for line in range(1, 5)]


def test_ends_are_forgotten() -> None:
    """What ended a quarter of an hour ago is kept no more, so that nothing grows."""
    lines = ProcessLines()
    for number in range(100):
        lines.update({ProcessKey(number, 1_000.0 * number): SHOP}, 1_000.0 * number + 10)
    assert sum(map(len, lines._ends.values())) <= 1

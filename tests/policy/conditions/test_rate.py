"""``when.rate``: windows that are exact and bounded, and how a person is told of them."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.limits import RATE_WINDOWS_MAX
from sidecar.policy.conditions import rate
from sidecar.policy.conditions.rate import Windows


def test_the_call_after_the_last_allowed_one_is_above() -> None:
    """Five are allowed, the sixth is not, this one included."""
    windows = Windows()
    assert [windows.is_above(("r",), 100.0 + n, 60, 5) for n in range(7)] == [False] * 5 + [True] * 2


def test_a_window_slides() -> None:
    """A call counts until it is as old as the window, not until some minute is over."""
    windows = Windows()
    for moment in (0.0, 59.0, 59.5):
        windows.is_above(("r",), moment, 60, 2)
    assert not windows.is_above(("r",), 60.0 + 59.0, 60, 2)
    assert windows.is_above(("r",), 119.2, 60, 2)


@given(st.lists(st.floats(0, 50), max_size=60).map(sorted), st.integers(1, 6), st.sampled_from([5, 10, 30]))
def test_windows_are_exact(moments: list[float], above: int, over_s: int) -> None:
    """However calls are spread, the answer is that of counting them all."""
    windows = Windows()
    seen: deque[float] = deque()
    for moment in moments:
        seen.append(moment)
        expected = sum(each > moment - over_s for each in seen) > above
        assert windows.is_above(("r",), moment, over_s, above) is expected


def test_windows_are_apart() -> None:
    """Two sessions do not use up each other's calls."""
    windows = Windows()
    assert not windows.is_above(("r", "a"), 0, 60, 1)
    assert not windows.is_above(("r", "b"), 0, 60, 1)
    assert windows.is_above(("r", "a"), 1, 60, 1)


def test_an_edited_limit_holds_at_once() -> None:
    """When a policy is edited while calls flow, the calls so far are not forgotten."""
    windows = Windows()
    for moment in range(5):
        windows.is_above(("r",), moment, 60, 10)
    assert windows.is_above(("r",), 6, 60, 2)
    assert not windows.is_above(("r",), 7, 60, 20)


def test_a_lowered_limit_is_exact_at_once() -> None:
    """Calls older than the window do not hide newer ones from a limit that was just lowered."""
    windows = Windows()
    for moment in (0, 50, 51):
        windows.is_above(("r",), moment, 60, 10)
    assert windows.is_above(("r",), 70, 60, 2)


def test_a_busy_window_is_counted_at_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window keeps as many moments as its limit needs, however many calls there were, and no more are accounted."""
    monkeypatch.setattr(rate, "RATE_ENTRIES_MAX", 100)
    windows = Windows()
    for number in range(10):
        for moment in range(50):
            windows.is_above(("r", str(number)), moment, 60, 9)
    assert windows.forgotten == 0
    windows.is_above(("r", "one more"), 50, 60, 9)
    assert windows.forgotten == 1


def test_windows_are_bounded() -> None:
    """Very many names cannot fill the memory; the oldest window is forgotten, and that is counted."""
    windows = Windows()
    for number in range(RATE_WINDOWS_MAX + 10):
        windows.is_above(("r", str(number)), 0, 60, 5)
    assert windows.forgotten == 10


def test_entries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few windows of very many calls are bounded too."""
    monkeypatch.setattr(rate, "RATE_ENTRIES_MAX", 100)
    windows = Windows()
    for number in range(20):
        for moment in range(10):
            windows.is_above(("r", str(number)), moment, 60, 50)
    assert windows.forgotten == 10
    assert windows.is_above(("r", "19"), 10, 60, 10)

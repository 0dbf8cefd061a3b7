"""The order of the whole suite, its marks, and what holds for every test with made-up examples."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

_TESTS: Final = Path(__file__).parent
_FIRST: Final = ("wire", "e2e", "wrap", "conformance", "review", "record")
"""The folders whose files take longest: processes that share the files then end at about the same time."""

MARKED_PATHS: Final = {
    "e2e": (
        "conformance",
        "e2e",
        "record/test_kills.py",
        "record/test_outbox.py",
        "record/test_shipper_kills.py",
        "review/test_serve_page.py",
        "test_collect.py",
        "wire",
        "wrap",
    ),
    "slow": (
        "detect/test_engine.py::test_almost_matches",
        "detect/test_engine.py::test_hostile",
        "detect/test_engine.py::test_the_first_stage",
        "detect/test_engine.py::test_threads",
        "detect/test_views.py::test_hostile",
        "exchange/test_two_peers.py",
        "fuzz",
        "install/test_clients.py",
        "install/test_roundtrip.py",
        "record/test_serve.py",
        "record/test_serve_queries.py",
        "record/test_shipper.py",
        "record/test_store.py",
        "review/test_pages.py",
        "test_docs.py::test_the_first_policy",
    ),
}
"""What `make quick` leaves out: a folder, a file, or the tests of a file whose names begin so."""

_FIXTURES: Final = {"tab": "browser", "record": "slow", "scratch_record": "slow", "page": "slow"}
"""The same by what a test asks for: a browser, or the embedded store in a process of its own."""

# The same examples in every run, and no clock: a change is judged by what it does, not by the day or by a busy machine.
# `--hypothesis-profile=default` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test gets the marks that choose it (pyproject.toml says what they mean), and what takes longest comes first."""
    for item in items:
        for mark in marks(item):
            item.add_marker(mark)
    order = {name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: order.get(item.path.relative_to(_TESTS).parts[0], len(order)))


def marks(item: pytest.Item) -> set[str]:
    """What a test is: `e2e`, `browser`, `slow`, or none of them for one that `make quick` runs."""
    place = f"{item.path.relative_to(_TESTS).as_posix()}::{item.name}"
    found = {mark for mark, starts in MARKED_PATHS.items() if any(_is_at(place, start) for start in starts)}
    return found | {_FIXTURES[name] for name in getattr(item, "fixturenames", ()) if name in _FIXTURES}


def _is_at(place: str, start: str) -> bool:
    """Whether a test lies below a folder or in a file, or has a name that begins as said."""
    return place.startswith(start if "::" in start else (f"{start}::" if start.endswith(".py") else f"{start}/"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are no text give a test no name.

    Those of gzip hold the time, and processes that share the tests must know them by the same names.
    """
    return argname if isinstance(val, bytes) and not val.isascii() else None

"""The order of the whole suite, and what holds for every test with made-up examples."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_TESTS = Path(__file__).parent
_FIRST = ("wire", "e2e", "wrap", "conformance", "review", "record")
"""The folders whose files take longest: processes that share the files then end at about the same time."""

# The same examples in every run, and no clock: a change is judged by what it does, not by the day or by a busy machine.
# `--hypothesis-profile=default` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first."""
    order = {name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: order.get(item.path.relative_to(_TESTS).parts[0], len(order)))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are no text give a test no name.

    Those of gzip hold the time, and processes that share the tests must know them by the same names.
    """
    return argname if isinstance(val, bytes) and not val.isascii() else None

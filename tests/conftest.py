"""The order of the whole suite."""

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_FIRST = ("wire", "e2e", "stdio", "conformance", "review", "record")
"""The folders whose files take longest: processes that share the files then end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first."""
    order = {name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: order.get(item.path.relative_to(_TESTS).parts[0], len(order)))

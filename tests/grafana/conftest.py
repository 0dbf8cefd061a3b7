"""The record that boards read, which is the one the page is tested with, and a Grafana to push them to."""

from collections.abc import Iterator

import pytest

from tests.grafana.fake import FakeGrafana
from tests.review.conftest import empty_record, now, record, scratch_record

__all__ = ["empty_record", "now", "record", "scratch_record"]


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    """A Grafana with the ClickHouse plugin and nothing of ours."""
    with FakeGrafana() as fake:
        yield fake

"""The record that boards read, and a Grafana to push them to."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests import seed
from tests.grafana.fake import FakeGrafana
from tests.seeded import Record, open_record


@pytest.fixture(scope="session")
def now() -> datetime:
    """The time at which the seeded record was made."""
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> Iterator[Record]:
    """Six hours of calls, to be read only."""
    with open_record(tmp_path_factory.mktemp("record"), seed.rows(now)) as running:
        yield running


@pytest.fixture(scope="session")
def scratch_record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """The record behind ``empty_record``: starting one takes a second."""
    with open_record(tmp_path_factory.mktemp("scratch"), {}) as running:
        yield running


@pytest.fixture
def empty_record(scratch_record: Record) -> Record:
    """Tables without rows, to be filled by one test."""
    scratch_record.clear()
    return scratch_record


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    """A Grafana with the ClickHouse plugin and nothing of ours."""
    with FakeGrafana() as fake:
        yield fake

"""The record that review tests read: one that is full of life, shared and left alone, and an empty one."""

import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sidecar.settings import Settings
from tests import seed
from tests.seeded import ROOT, Record, open_record


@pytest.fixture(scope="session")
def now() -> datetime:
    """The time at which the seeded record was made."""
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> Iterator[Record]:
    """Six hours of calls. Tests read it; those that write take ``empty_record``."""
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


@dataclass(frozen=True, slots=True)
class Page:
    """A running review page."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{self.address}"


@contextlib.contextmanager
def run_page(settings: Settings) -> Iterator[Page]:
    """`sidecar review`, as a user starts it."""
    log = Path(settings.file).with_name("page.log")
    command = [sys.executable, "-m", "sidecar", "review", "-c", settings.file]
    with log.open("wb") as out, subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out) as process:
        page = Page(settings.page, process, log)
        try:
            _wait(page)
            yield page
        finally:
            process.terminate()
            process.wait(20)


def _wait(page: Page) -> None:
    deadline = time.monotonic() + 40
    pause = threading.Event()
    while True:
        connection = http.client.HTTPConnection(page.address, timeout=5)
        try:
            connection.request("GET", "/_stcore/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            assert page.process.poll() is None, page.log.read_text()
            assert time.monotonic() < deadline, "the page did not answer within 40 s"
        finally:
            connection.close()
        pause.wait(0.1)


@pytest.fixture(scope="session")
def page(record: Record) -> Iterator[Page]:
    """The review page over ``record``."""
    with run_page(record.settings) as running:
        yield running

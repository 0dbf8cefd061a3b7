import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from sidecar.notify.alerts import Alerts
from sidecar.notify.outbox_watcher import OutboxWatcher
from sidecar.record.outbox import Outbox
from sidecar.record.outbox_reader import OutboxReader, Position
from tests.record.conftest import begin, end, finding_row


class RecordedAlerts(Alerts):
    """Alerts that only remember what they were offered."""

    def __init__(self) -> None:
        super().__init__([], "")
        self.numbers: list[int] = []
        self.is_broken = False

    def offer(self, findings: Any) -> int:
        """Remember the findings' numbers."""
        if self.is_broken:
            raise OSError("no space")
        found = [int(finding["call_id"].replace("-", ""), 16) for finding in findings]
        self.numbers += found
        return len(found)


def finding(*numbers: int) -> bytes:
    """A record with findings."""
    return orjson.dumps({"phase": "rows", "rows": {"findings": [finding_row(number) for number in numbers]}})


def look(watcher: OutboxWatcher) -> None:
    """Step until nothing is new."""
    while watcher.step():
        pass


def test_every_finding_is_offered_once(tmp_path: Path) -> None:
    """Findings of every record and segment are offered once, in order, also by the next watcher."""
    alerts = RecordedAlerts()
    with Outbox(tmp_path, "writer", segment_bytes=4096) as outbox:
        watcher = OutboxWatcher(tmp_path, alerts)
        assert watcher.read_to(outbox.directory) < Position()
        for number in range(1, 40):
            outbox.put(end(number))
            outbox.put(finding(number))
            if number % 7 == 0:
                look(watcher)
                watcher = OutboxWatcher(tmp_path, alerts)
        look(watcher)
        assert alerts.numbers == list(range(1, 40))
        # Not merely the last segment: the writer prepares the next one, still empty, in the background.
        reader = OutboxReader(outbox.directory)
        written = [number for number in reader.segments() if reader.holds_record(Position(number))]
        assert watcher.read_to(outbox.directory).segment == written[-1]


def test_a_crash_repeats_rather_than_loses(tmp_path: Path) -> None:
    """While alerts cannot be accepted the position does not move; afterwards they are offered again."""
    alerts = RecordedAlerts()
    alerts.is_broken = True
    with Outbox(tmp_path, "writer") as outbox:
        outbox.put(finding(1))
        watcher = OutboxWatcher(tmp_path, alerts)
        assert not watcher.step()
        assert watcher.read_to(outbox.directory) < Position()
        alerts.is_broken = False
        look(OutboxWatcher(tmp_path, alerts))
    assert alerts.numbers == [1]


@pytest.mark.parametrize("payload", [b"enforce", b'{"phase": "rows", "rows": {"findings": "enforce"}}', b'{"enforce": [1]}'])
def test_garbage_stops_nothing(tmp_path: Path, payload: bytes) -> None:
    """What is not a record is skipped."""
    alerts = RecordedAlerts()
    with Outbox(tmp_path, "writer") as outbox:
        outbox.put(payload)
        outbox.put(finding(1))
        look(OutboxWatcher(tmp_path, alerts))
    assert alerts.numbers == [1]


def test_directories_come_and_go(tmp_path: Path) -> None:
    """New outboxes are read, removed ones forgotten, and after a damaged position file a directory is read again."""
    alerts = RecordedAlerts()
    watcher = OutboxWatcher(tmp_path, alerts)
    first = Outbox(tmp_path, "first")
    first.put(finding(1))
    look(watcher)
    first.close()
    second = Outbox(tmp_path, "second")
    second.put(finding(2))
    second.put(begin(3))
    os.rename(first.directory, tmp_path / ".gone")
    look(watcher)
    assert alerts.numbers == [1, 2]
    assert watcher.read_to(first.directory) < Position()
    (second.directory / "alerted").write_bytes(b"[")
    look(OutboxWatcher(tmp_path, alerts))
    assert alerts.numbers == [1, 2, 2]
    second.close()

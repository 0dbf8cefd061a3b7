import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from sidecar.notify.alerts import Alerts
from sidecar.notify.watch import Watch
from sidecar.record.outbox import Outbox
from sidecar.record.outbox_reader import OutboxReader, Position
from tests.record.conftest import begin, end, finding_row


class Heard(Alerts):
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


def look(watch: Watch) -> None:
    """Step until nothing is new."""
    while watch.step():
        pass


def test_it_hears_every_finding_once(tmp_path: Path) -> None:
    """Findings of every record and segment are offered once, in order, also by the next watch."""
    heard = Heard()
    with Outbox(tmp_path, "writer", segment_bytes=4096) as outbox:
        watch = Watch(tmp_path, heard)
        assert watch.read_to(outbox.directory) < Position()
        for number in range(1, 40):
            outbox.put(end(number))
            outbox.put(finding(number))
            if number % 7 == 0:
                look(watch)
                watch = Watch(tmp_path, heard)
        look(watch)
        assert heard.numbers == list(range(1, 40))
        assert watch.read_to(outbox.directory).segment == OutboxReader(outbox.directory).segments()[-1]


def test_a_crash_repeats_rather_than_loses(tmp_path: Path) -> None:
    """While alerts cannot be taken over the place does not move; afterwards they are offered again."""
    heard = Heard()
    heard.is_broken = True
    with Outbox(tmp_path, "writer") as outbox:
        outbox.put(finding(1))
        watch = Watch(tmp_path, heard)
        assert not watch.step()
        assert watch.read_to(outbox.directory) < Position()
        heard.is_broken = False
        look(Watch(tmp_path, heard))
    assert heard.numbers == [1]


@pytest.mark.parametrize("payload", [b"enforce", b'{"phase": "rows", "rows": {"findings": "enforce"}}', b'{"enforce": [1]}'])
def test_garbage_stops_nothing(tmp_path: Path, payload: bytes) -> None:
    """What is no record of ours is passed over."""
    heard = Heard()
    with Outbox(tmp_path, "writer") as outbox:
        outbox.put(payload)
        outbox.put(finding(1))
        look(Watch(tmp_path, heard))
    assert heard.numbers == [1]


def test_directories_come_and_go(tmp_path: Path) -> None:
    """New outboxes are heard of, removed ones forgotten, and a damaged place file means reading again."""
    heard = Heard()
    watch = Watch(tmp_path, heard)
    first = Outbox(tmp_path, "first")
    first.put(finding(1))
    look(watch)
    first.close()
    second = Outbox(tmp_path, "second")
    second.put(finding(2))
    second.put(begin(3))
    os.rename(first.directory, tmp_path / ".gone")
    look(watch)
    assert heard.numbers == [1, 2]
    assert watch.read_to(first.directory) < Position()
    (second.directory / "alerted").write_bytes(b"[")
    look(Watch(tmp_path, heard))
    assert heard.numbers == [1, 2, 2]
    second.close()

"""The shipper against a real engine over HTTP, stopped at every point at which it can be killed."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from sidecar import limits
from sidecar.errors import StoreError
from sidecar.record.outbox import Outbox, segment_file
from sidecar.record.outbox_reader import OutboxReader, Position
from sidecar.record.shipper import Shipper
from sidecar.record.store import Store, open_store
from sidecar.settings import Settings
from tests.record.conftest import Server, begin, end, finding_row

Query = Callable[[str], list[Any]]


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs."""


class World:
    """A data folder, a store, and shippers that come and go."""

    def __init__(self, settings: Settings, store: Store, query: Query) -> None:
        self.settings = settings
        self.store = store
        self.query = query
        self.data = settings.data_path
        self.notes: list[tuple[str, float, str]] = []
        self.read_to: Callable[[Path], Position] = lambda _: Position(1 << 60)
        self.now = 0.0

    def shipper(self) -> Shipper:
        """A shipper as a newly started collector has it."""
        return Shipper(
            self.store,
            self.data / "outbox",
            self.data / "dead-letter",
            lambda *note: self.notes.append(note),
            lambda directory: self.read_to(directory),
        )

    def ship(self, shipper: Shipper | None = None) -> None:
        """Step, with time passing, until nothing is left to do."""
        shipper = shipper or self.shipper()
        idle = 0
        while idle < 3:
            self.now += 1
            idle = 0 if shipper.step(self.now) else idle + 1

    def calls(self) -> dict[int, tuple[str, int]]:
        """Status and number of rows, by the number of the call; rollup and table must agree."""
        rows = self.query("SELECT call_id, any(status), count() FROM calls GROUP BY call_id ORDER BY call_id")
        total = self.query("SELECT sum(calls) FROM calls_1m")[0][0]
        assert total == sum(row[2] for row in rows)
        return {uuid.UUID(str(row[0])).int: (row[1], row[2]) for row in rows}


@pytest.fixture
def world(server: Server, tmp_path: Path) -> Iterator[World]:
    """A fresh database and an empty data folder."""
    settings = server.settings(tmp_path)
    store = open_store(settings, {"SIDECAR_STORE_PASSWORD": server.password})
    client = server.client()
    client.database = store.database
    yield World(settings, store, lambda sql: list(client.query(sql).result_rows))
    client.close()
    store.close()


def once(*numbers: int, status: str = "ok") -> dict[int, tuple[str, int]]:
    """What the record holds when each of these calls is there once."""
    return dict.fromkeys(numbers, (status, 1))


def test_a_call_arrives_at_its_end(world: World, outbox: Outbox) -> None:
    """A begun call is not in the record until it ends, then it is there once, with its findings."""
    shipper = world.shipper()
    outbox.put(begin(1))
    outbox.put(orjson.dumps({"phase": "rows", "rows": {"findings": [finding_row(1)]}}))
    world.ship(shipper)
    assert world.calls() == {}
    outbox.put(end(1))
    world.ship(shipper)
    assert world.calls() == once(1)
    assert world.query("SELECT count() FROM findings") == [(1,)]
    assert world.query("SELECT request, response FROM calls") == [("request 1", "response 1")]


def test_a_batch_waits_for_company(world: World, outbox: Outbox) -> None:
    """Few records wait half a second for more, so that inserts stay few; a full batch does not wait."""
    shipper = world.shipper()
    outbox.put(end(1))
    assert not shipper.step(100.0)
    assert not shipper.step(100.4)
    outbox.put(end(2))
    assert shipper.step(100.6)
    assert world.calls() == once(1, 2)


def test_a_call_whose_process_died(world: World, tmp_path: Path) -> None:
    """Calls that were open when their process died are in the record as no_response, once, and the folder is gone."""
    outbox = Outbox(tmp_path / "data" / "outbox", "dead", segment_bytes=4096)
    for number in range(1, 41):
        outbox.put(begin(number))
        if number not in (2, 39):
            outbox.put(end(number))
    shipper = world.shipper()
    world.ship(shipper)
    assert len(world.calls()) == 38
    # The process dies: the lock goes, nothing else happens.
    os.close(outbox._lock)
    world.ship(shipper)
    world.ship()
    assert world.calls() == once(*(n for n in range(1, 41) if n not in (2, 39))) | once(2, 39, status="no_response")
    assert list((world.data / "outbox").iterdir()) == []
    assert ("process_died", 2, "dead") in world.notes


def test_open_calls_survive_the_collector(world: World, outbox: Outbox) -> None:
    """A call may begin before, and end after, any number of collectors and segments; it is a row at its end only."""
    outbox.put(begin(1))
    outbox.put(begin(2))
    tail = OutboxReader(outbox.directory)
    filler = 10
    for _ in range(3):
        oldest = tail.segments()[0]
        for _ in range(40):
            outbox.put(end(filler, tool="x" * 3000))
            filler += 1
        world.ship()
        assert 1 not in world.calls()
        assert tail.segments()[0] > oldest
    outbox.put(end(2))
    outbox.close()
    world.ship()
    assert world.calls() == once(2, *range(10, filler)) | once(1, status="no_response")


def test_nothing_unread_is_deleted(world: World, outbox: Outbox) -> None:
    """What the alerts have not read yet stays, however far the shipper is."""
    world.read_to = lambda _: Position(1, 0)
    for number in range(1, 41):
        outbox.put(end(number, tool="x" * 3000))
    outbox.close()
    shipper = world.shipper()
    world.ship(shipper)
    assert len(world.calls()) == 40
    assert OutboxReader(outbox.directory).segments()[0] == 1
    world.read_to = lambda _: Position(1 << 60)
    world.ship(shipper)
    assert not outbox.directory.exists()
    assert world.calls() == once(*range(1, 41))


def test_an_unreachable_store_loses_nothing(world: World, server: Server, outbox: Outbox) -> None:
    """While the store is away records wait, without hurry; when it is back all arrive, once, and the gap is noted."""
    shipper = world.shipper()
    outbox.put(end(1))
    world.ship(shipper)
    server.kill()
    try:
        outbox.put(end(2))
        started = time.monotonic()
        world.now += 1
        assert not shipper.step(world.now)
        for _ in range(20):
            world.now += 0.5
            assert not shipper.step(world.now)
            outbox.put(end(3 + int(world.now * 2)))
        assert time.monotonic() - started < 20
    finally:
        server.start()
    world.now += 60
    world.ship(shipper)
    assert {found for _, found in world.calls().values()} == {1}
    assert len(world.calls()) == 22
    [(metric, seconds, text)] = world.notes
    assert (metric, "nothing listens there" in text) == ("store_unreachable", True)
    assert seconds > 10


def test_it_says_once_that_the_store_is_away(
    world: World, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A long outage is one line in the log, and its end another."""

    def away(*_: Any) -> None:
        raise StoreError("the store is away")

    shipper = world.shipper()
    outbox.put(end(1))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "insert", away)
        for _ in range(200):
            world.now += 1
            shipper.step(world.now)
    world.now += 60
    world.ship(shipper)
    said = [record.message for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("store unavailable; records wait")
    assert said[1].startswith("store available again")


def test_unreadable_records_are_counted(world: World, outbox: Outbox) -> None:
    """What power loss tore out of an outbox is said, with its number, and the rest arrives."""
    for number in range(1, 61):
        outbox.put(end(number, tool="x" * 3000))
    outbox.close()
    file = segment_file(outbox.directory, 1)
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    file.write_bytes(content)
    world.ship()
    lost = sum(value for metric, value, _ in world.notes if metric == "rows_lost")
    assert lost > 0
    assert len(world.calls()) + lost == 60


def test_a_damaged_cursor_stops_nothing(world: World, outbox: Outbox) -> None:
    """With its place lost the shipper begins again; the tables keep one of each row when they are read with FINAL."""
    outbox.put(end(1))
    world.ship()
    (outbox.directory / "cursor").write_bytes(b"")
    outbox.put(end(2))
    world.ship()
    assert world.query("SELECT count() FROM calls FINAL") == [(2,)]


def test_leftovers_of_a_removal_are_swept(world: World) -> None:
    """A directory whose removal was cut short is removed at the next start."""
    (world.data / "outbox" / ".drained-old").mkdir(parents=True)
    world.shipper()
    assert list((world.data / "outbox").iterdir()) == []


def test_it_drains_in_time(world: World, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopping collector ships what is there at once, and gives up in time when the store is away."""
    shipper = world.shipper()
    outbox.put(end(1))
    assert shipper.drain(time.monotonic, time.monotonic() + 10)
    assert world.calls() == once(1)
    outbox.put(end(2))

    def away(*_: Any) -> None:
        raise StoreError("the store is away")

    monkeypatch.setattr(Store, "insert", away)
    assert not shipper.drain(time.monotonic, time.monotonic() + 10)


def test_many_small_batches_stay_exact(world: World, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds on a batch change nothing about what arrives."""
    monkeypatch.setattr(limits, "BATCH_RECORDS_MAX", 7)
    for number in range(1, 51):
        outbox.put(begin(number))
        outbox.put(end(number))
    world.ship()
    assert world.calls() == once(*range(1, 51))


def test_an_open_call_is_known_to_the_next_collector(world: World, tmp_path: Path) -> None:
    """A begun call that one collector read past is still open for the next one, which finds its process dead."""
    outbox = Outbox(tmp_path / "data" / "outbox", "dead")
    outbox.put(begin(1))
    outbox.put(end(2))
    world.ship()
    os.close(outbox._lock)
    world.ship()
    assert world.calls() == once(2) | once(1, status="no_response")

"""What was shipped when the shipper is killed at any point, hears no answer, or meets rows that no store takes."""

import itertools
import uuid
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from sidecar.errors import StoreError
from sidecar.record.outbox import Outbox
from sidecar.record.outbox_shipment import OutboxShipment
from sidecar.record.store import RowsRefused, Store
from tests.record.conftest import begin, call_row, end, finding_row
from tests.record.test_shipper import Killed, World, once, world

Query = Callable[[str], list[Any]]


__all__ = ["world"]

KILLS = [
    ("before anything", "save", 0),
    ("with the bounds written down", "insert", 0),
    ("after one table", "insert", 1),
    ("after all tables", "save", 1),
    ("with the batch behind it", "delete_shipped", 2),
]


@pytest.mark.parametrize(("what", "method", "after"), KILLS, ids=[kill[0] for kill in KILLS])
def test_killed_at_any_point(
    world: World, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, what: str, method: str, after: int
) -> None:
    """Wherever the collector is killed, the next one sends the same again, and everything is there once."""
    for number in range(1, 31):
        outbox.put(begin(number))
        outbox.put(end(number))
    outbox.put(orjson.dumps({"phase": "rows", "rows": {"findings": [finding_row(n) for n in range(5)]}}))
    owner: Any = Store if method == "insert" else OutboxShipment
    original = getattr(owner, method)
    count = itertools.count()

    def dying(*args: Any) -> Any:
        if next(count) >= after:
            raise Killed
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, dying)
        with pytest.raises(Killed):
            world.ship()
    # More is written before the next collector looks: the batch under way must not grow by it.
    outbox.put(end(31))
    world.ship()
    assert world.calls() == once(*range(1, 32)), what
    assert world.query("SELECT count() FROM findings") == [(5,)]


def test_acknowledged_but_not_heard(world: World, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An insert whose answer was lost is repeated under the same token and counts once, in the rollup too."""
    outbox.put(end(1))
    original, tokens = Store.insert, []

    def deaf(store: Store, table: str, lines: list[bytes], token: str) -> None:
        original(store, table, lines, token)
        tokens.append(token)
        if len(tokens) == 1:
            raise StoreError("the connection broke")

    monkeypatch.setattr(Store, "insert", deaf)
    world.ship()
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]
    assert world.calls() == once(1)


def poison(number: int) -> bytes:
    """A call no table takes: a duration below zero."""
    return orjson.dumps({"phase": "end", "call": call_row(number, status="ok", duration_us=-1), "rows": {}})


def test_a_poison_row_harms_no_other(world: World, outbox: Outbox) -> None:
    """Rows that can never be inserted are kept in a file with their error; all others arrive."""
    for number in range(1, 101):
        outbox.put(poison(number) if number in (17, 64) else end(number))
    outbox.put(b"garbage")
    world.ship()
    assert world.calls() == once(*(number for number in range(1, 101) if number not in (17, 64)))
    files = sorted((world.data / "dead-letter").iterdir())
    entries = [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert [entry["row"]["call_id"] for entry in entries if "row" in entry] == [str(uuid.UUID(int=n)) for n in (17, 64)]
    assert {entry["code"] for entry in entries if "code" in entry} == {72}
    assert [entry["record_base64"] for entry in entries if "record_base64" in entry] == ["Z2FyYmFnZQ=="]
    assert sum(value for metric, value, _ in world.notes if metric == "rows_lost") == 3
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


def test_killed_while_looking_for_poison(world: World, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector killed while it halves a refused batch neither doubles nor loses the good half."""
    for number in range(1, 41):
        outbox.put(poison(number) if number == 30 else end(number))
    original = Store.insert
    count = itertools.count()

    def dying(store: Store, table: str, lines: list[bytes], token: str) -> None:
        if next(count) == 4:
            raise Killed
        original(store, table, lines, token)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "insert", dying)
        with pytest.raises(Killed):
            world.ship()
    world.ship()
    assert world.calls() == once(*(number for number in range(1, 41) if number != 30))
    assert len(list((world.data / "dead-letter").iterdir())) == 1


def test_a_cause_mended_while_halving(world: World, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that was once sent in parts is never sent whole again, though the whole would be taken by now."""
    for number in range(1, 9):
        outbox.put(end(number))
    original = Store.insert
    count = itertools.count()

    def refusing(store: Store, table: str, lines: list[bytes], token: str) -> None:
        if next(count) == 0:
            raise RowsRefused(16, "NO_SUCH_COLUMN_IN_TABLE", "")
        if len(lines) == 4 and b"request 5" in lines[0]:
            raise Killed
        original(store, table, lines, token)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "insert", refusing)
        with pytest.raises(Killed):
            world.ship()
    world.ship()
    assert world.calls() == once(*range(1, 9))

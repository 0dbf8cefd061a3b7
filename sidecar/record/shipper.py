"""The shipper: writes every record below the outbox folder to the store, exactly once, whatever crashes and when.

Per directory: the bounds of a batch are saved, the batch is sent table by table with tokens that identify exactly those
bounds, and the cursor moves past it. After a crash at any point the same bytes are sent with the same tokens, and the
store drops duplicates. A row that can never be inserted is found by halving and stored in ``dead-letter``. A call that
began waits for its end; when its process died and everything was read, its row is sent as ``no_response``.
"""

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from sidecar import limits
from sidecar.errors import StoreError
from sidecar.logs import get_logger
from sidecar.record.batch import TABLES, RefusedRecord, batch_of, no_response
from sidecar.record.cursor import replace_file
from sidecar.record.outbox_reader import OutboxRecord, Position, outboxes
from sidecar.record.outbox_shipment import OutboxShipment, sweep
from sidecar.record.store import RowsRefused, Store

log = get_logger(__name__)

Note = Callable[[str, float, str], None]
"""Writes a ``health`` row: metric, value, detail."""

_EVERYWHERE: Final = Position(segment=1 << 62)


@dataclass(frozen=True, slots=True)
class _Poison:
    """A row that cannot be inserted: its index in the batch's lines, the row itself, and ClickHouse's error."""

    index: int
    line: bytes
    error: RowsRefused


class Shipper:
    """Ships the outboxes below ``folder``. One thread drives it by ``step``; times are monotonic seconds.

    ``read_to`` returns how far another reader of a directory is: nothing beyond that is deleted.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        dead_letter: Path,
        note: Note,
        read_to: Callable[[Path], Position] = lambda _: _EVERYWHERE,
    ) -> None:
        self._store = store
        self._folder = folder
        self._dead_letter = dead_letter
        self._note = note
        self._read_to = read_to
        self._shipments: dict[Path, OutboxShipment] = {}
        self._wait_s = limits.BATCH_WAIT_S
        self._down_since: float | None = None
        self._down_text = ""
        self._delay_s = 0.0
        self._retry_at = 0.0
        sweep(folder)

    def step(self, now: float) -> bool:
        """Do what is due. True when something was done, so that another step may find more at once."""
        if now < self._retry_at:
            return False
        did = False
        try:
            for shipment in self._present():
                did |= self._advance(shipment, now)
        except (StoreError, OSError) as error:
            self._failed(str(error), now)
            return False
        return did

    def drain(self, clock: Callable[[], float], until: float) -> bool:
        """Ship what is there without waiting for larger batches; False when that was not finished by ``until``."""
        self._wait_s = 0.0
        self._retry_at = 0.0
        while clock() < until:
            if not self.step(clock()):
                return self._down_since is None
        return False

    def _present(self) -> list[OutboxShipment]:
        found = outboxes(self._folder)
        for gone in set(self._shipments) - set(found):
            del self._shipments[gone]
        for directory in found:
            if directory not in self._shipments:
                self._shipments[directory] = OutboxShipment(directory)
        return [self._shipments[directory] for directory in found]

    def _advance(self, shipment: OutboxShipment, now: float) -> bool:
        # Checked before reading: once the owner is dead, what is read after this is everything.
        is_alive = shipment.tail.is_owner_alive()
        shipment.delete_shipped(self._read_to(shipment.directory))
        if shipment.cursor.end is None and not self._is_due(shipment, now, is_alive):
            if shipment.due_at is not None:
                return False
            if (following := shipment.tail.after(shipment.cursor.position)) is not None:
                shipment.turn(following)
                return True
            return not is_alive and self._finish(shipment, now)
        records, is_full = shipment.next_records()
        self._ship(shipment, records, now)
        shipment.due_at = now if is_full and shipment.holds_more() else None
        return True

    def _is_due(self, shipment: OutboxShipment, now: float, is_alive: bool) -> bool:
        if shipment.due_at is None and shipment.holds_more():
            shipment.due_at = now + self._wait_s
        return shipment.due_at is not None and (now >= shipment.due_at or not is_alive or self._wait_s == 0)

    def _ship(self, shipment: OutboxShipment, records: list[OutboxRecord], now: float) -> None:
        if records and (lost := records[0].number - shipment.cursor.number) > 0:
            log.error("records lost: they cannot be read, as after a power failure", lost=lost, outbox=shipment.instance)
            self._note("rows_lost", lost, f"records of {shipment.instance} that cannot be read")
            shipment.save(replace(shipment.cursor, number=records[0].number))
        token = shipment.freeze(records) if records else ""
        batch = batch_of(records)
        for table in TABLES:
            if lines := batch.lines.get(table):
                self._insert(shipment, table, lines, f"{token}/{table}", now)
        if batch.refused:
            self._dead_letter_batch(
                f"{token}/records", [_unreadable(refused) for refused in batch.refused], "malformed records"
            )
        shipment.arrived(records, batch)

    def _insert(self, shipment: OutboxShipment, table: str, lines: list[bytes], token: str, now: float) -> None:
        if token not in shipment.cursor.split:
            try:
                self._store.insert(table, lines, token)
                self._worked(now)
                return
            except RowsRefused:
                # Saved first: if the cause were fixed before a crash, the whole insert would be counted on top of its parts.
                shipment.save(replace(shipment.cursor, split=(*shipment.cursor.split, token)))
        poison = list(self._insert_parts(table, lines, token, 0))
        self._worked(now)
        if poison:
            codes = ", ".join(sorted({str(each.error.code) for each in poison}))
            self._dead_letter_batch(
                token, [_poisoned(table, each) for each in poison], f"rows of {table}, ClickHouse code {codes}"
            )

    def _insert_parts(self, table: str, lines: list[bytes], token: str, first: int) -> Iterator[_Poison]:
        """Insert rows that were refused together in halves, each half with its own token."""
        middle = len(lines) // 2
        for start, part in ((first, lines[:middle]), (first + middle, lines[middle:])):
            if not part:
                continue
            try:
                self._store.insert(table, part, f"{token}/{start}-{start + len(part)}")
            except RowsRefused as error:
                if len(part) == 1:
                    yield _Poison(start, part[0], error)
                else:
                    yield from self._insert_parts(table, part, token, start)

    def _dead_letter_batch(self, token: str, entries: list[dict[str, Any]], what: str) -> None:
        """Store what cannot be inserted in a file named after its batch, so that repeating it changes nothing."""
        self._dead_letter.mkdir(mode=0o700, exist_ok=True)
        file = self._dead_letter / f"{token.replace('/', '_')}.jsonl"
        replace_file(file, (orjson.dumps({"token": token, **entry}) for entry in entries))
        log.error("rows refused by the store are kept in a file", rows=len(entries), what=what, file=str(file))
        if not token.endswith("/health"):
            self._note("rows_lost", len(entries), f"{what}: saved in dead-letter/{file.name}")

    def _finish(self, shipment: OutboxShipment, now: float) -> bool:
        """Finish a directory whose owner is dead and whose records are all shipped: end its calls and remove it."""
        if self._read_to(shipment.directory) < shipment.cursor.position:
            return False
        lines = [no_response(line) for _, line in sorted(shipment.pending.items())]
        for start in range(0, len(lines), limits.BATCH_RECORDS_MAX):
            token = f"{shipment.instance}/no-response/{start}/calls"
            self._insert(shipment, "calls", lines[start : start + limits.BATCH_RECORDS_MAX], token, now)
        if not shipment.tail.was_closed():
            log.warning("a proxy or collector died", instance=shipment.instance, open_calls=len(lines))
            self._note("process_died", len(lines), shipment.instance)
        shipment.remove()
        return True

    def _failed(self, text: str, now: float) -> None:
        if self._down_since is None:
            self._down_since = now
        if text != self._down_text:
            self._down_text = text
            log.warning("store unavailable; records wait in the outbox", error=text)
        self._delay_s = min(max(self._delay_s * 2, limits.STORE_RETRY_S_MAX / 30), limits.STORE_RETRY_S_MAX)
        self._retry_at = now + self._delay_s * random.uniform(0.5, 1)

    def _worked(self, now: float) -> None:
        self._delay_s = 0.0
        if self._down_since is not None:
            seconds, text = now - self._down_since, self._down_text
            self._down_since, self._down_text = None, ""
            log.warning("store available again; nothing was lost", after_s=round(seconds, 1))
            self._note("store_unreachable", round(seconds, 1), text)


def _poisoned(table: str, poison: _Poison) -> dict[str, Any]:
    details = {"code": poison.error.code, "error": poison.error.details}
    return {"table": table, "index": poison.index, **details, "row": orjson.Fragment(poison.line)}


def _unreadable(refused: RefusedRecord) -> dict[str, Any]:
    content = base64.b64encode(refused.content).decode()
    return {"offset": refused.start, "error": refused.reason, "record_base64": content}

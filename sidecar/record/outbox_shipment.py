"""Shipping state of one outbox directory: its cursor, the calls still open in it, and what may be deleted."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson

from sidecar import limits
from sidecar.logs import get_logger
from sidecar.record.batch import Batch, batch_of
from sidecar.record.cursor import (
    CURSOR_FILE,
    PENDING_FILE,
    Cursor,
    load_cursor,
    load_pending,
    replace_file,
    save_cursor,
)
from sidecar.record.outbox import segment_file
from sidecar.record.outbox_reader import OutboxReader, OutboxRecord, Position

log = get_logger(__name__)

_DRAINED: Final = ".drained-"


class OutboxShipment:
    """What the shipper knows about one outbox directory. A new object knows the same, as everything is on disk.

    ``pending`` maps the ids of calls that began and did not end before the cursor to their rows.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tail = OutboxReader(directory)
        self.due_at: float | None = None
        """When the oldest waiting record has waited long enough; ``None`` while nothing waits."""
        self.cursor = self._loaded()
        self._oldest = min(self.tail.segments(), default=self.cursor.segment)
        self.pending = self._carried()
        self._reread()

    @property
    def instance(self) -> str:
        """The name of the process start that owns the directory."""
        return self.directory.name

    def save(self, cursor: Cursor) -> None:
        """Set the cursor, on disk first."""
        save_cursor(self.directory, cursor)
        self.cursor = cursor

    def next_records(self) -> tuple[list[OutboxRecord], bool]:
        """The records of the batch being sent, else of the next one; and whether it has the maximum size of a batch."""
        taken: list[OutboxRecord] = []
        size = 0
        for record in self.tail.records(self.cursor.position):
            if self.cursor.end is not None and record.end > self.cursor.end:
                break
            taken.append(record)
            size += len(record.payload)
            if self.cursor.end is None and (len(taken) >= limits.BATCH_RECORDS_MAX or size >= limits.BATCH_BYTES_MAX):
                return taken, True
        return taken, False

    def holds_more(self) -> bool:
        """Whether there is a record after the cursor."""
        return self.tail.holds_record(self.cursor.position)

    def freeze(self, records: list[OutboxRecord]) -> str:
        """Save the bounds of a batch before it is sent; returns the token that identifies exactly this batch."""
        if self.cursor.end is None:
            self.save(replace(self.cursor, end=records[-1].end))
        return f"{self.instance}/{self.cursor.segment}/{self.cursor.offset}-{self.cursor.end}"

    def arrived(self, records: list[OutboxRecord], batch: Batch) -> None:
        """The batch is in the store: update the open calls and move the cursor past it."""
        batch.apply(self.pending)
        cursor = self.cursor
        end = cursor.end if cursor.end is not None else cursor.offset
        number = records[-1].number + 1 if records else cursor.number
        self.save(replace(cursor, offset=end, end=None, number=number, split=()))

    def turn(self, following: Position) -> None:
        """Continue in the next segment. The calls still open are saved before this one may be deleted."""
        replace_file(self.directory / PENDING_FILE, self.pending.values())
        self.save(replace(self.cursor, segment=following.segment, offset=following.offset, end=None))

    def delete_shipped(self, read_to: Position) -> None:
        """Delete the segments that are shipped and that the reader at ``read_to`` has finished too."""
        while self._oldest < min(self.cursor.segment, read_to.segment):
            segment_file(self.directory, self._oldest).unlink(missing_ok=True)
            self._oldest += 1

    def remove(self) -> None:
        """Remove the whole directory; a crash leaves it complete, or renamed so that readers ignore it."""
        gone = self.directory.with_name(_DRAINED + self.instance)
        self.directory.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _reread(self) -> None:
        """Find the calls still open among the records of this segment that are already shipped."""
        records = self.tail.records(Position(self.cursor.segment))
        shipped = itertools.takewhile(lambda record: record.end <= self.cursor.offset, records)
        for some in itertools.batched(shipped, limits.BATCH_RECORDS_MAX, strict=False):
            batch_of(some).apply(self.pending)

    def _carried(self) -> dict[str, bytes]:
        carried = {}
        for line in load_pending(self.directory):
            try:
                carried[str(orjson.loads(line)["call_id"])] = line
            except (ValueError, KeyError, TypeError):
                log.error("file damaged: a call that was open is missing", file=str(self.directory / PENDING_FILE))
        return carried

    def _loaded(self) -> Cursor:
        try:
            return load_cursor(self.directory)
        except ValueError:
            # Without it rows are sent twice with new tokens; the tables' engine keeps one of each.
            log.error("file damaged: everything still there is sent again", file=str(self.directory / CURSOR_FILE))
            return Cursor(segment=min(self.tail.segments(), default=1))


def sweep(folder: Path) -> None:
    """Delete what a crash left of directories that were being removed."""
    for left in folder.glob(f"{_DRAINED}*"):
        shutil.rmtree(left, ignore_errors=True)

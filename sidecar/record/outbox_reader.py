"""Reads the records of an outbox directory from any position on, whether its owner is alive or not."""

import contextlib
import fcntl
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.errors import StoreError
from sidecar.limits import KIB, MIB
from sidecar.record.outbox import CLOSED_FILE, HEADER, LOCK_FILE, checksum, room_for, segment_file

_FIRST_READ_BYTES: Final = 4 * KIB
_READ_BYTES_MAX: Final = MIB


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in an outbox directory: the segment, from 1, and the byte offset in it at which a record begins."""

    segment: int = 1
    offset: int = 0


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """One record: its number (from 1, without gaps), where it starts and ends in its segment, and its bytes."""

    number: int
    start: int
    end: int
    payload: bytes


def outboxes(folder: Path) -> list[Path]:
    """The outbox directories below ``folder`` in which something was or may have been written, oldest first."""
    begun = []
    for lock in folder.glob(f"*/{LOCK_FILE}"):
        # A directory may be removed at any moment, once all of it is shipped.
        with contextlib.suppress(FileNotFoundError):
            if not lock.parent.name.startswith(".") and next(lock.parent.glob("m*"), None) is not None:
                begun.append((lock.stat().st_mtime_ns, lock.parent))
    return [directory for _, directory in sorted(begun)]


class OutboxReader:
    """Reads one outbox directory. It holds no state: every result is about the files at that moment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def records(self, start: Position) -> Generator[OutboxRecord]:
        """The complete records of ``start``'s segment from there on, up to the first that is not (or not yet) complete."""
        try:
            descriptor = os.open(segment_file(self.directory, start.segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            yield from _whole(_Window(descriptor), start.offset)
        finally:
            os.close(descriptor)

    def after(self, position: Position) -> Position | None:
        """The start of the next segment, once the owner writes there and nothing is left at ``position``."""
        for number in self.segments():
            following = Position(number)
            if number > position.segment and self.holds_record(following):
                # The owner never goes back: nothing more will be written at ``position``.
                return None if self.holds_record(position) else following
        return None

    def segments(self) -> list[int]:
        """The numbers of the existing segments, in order."""
        return sorted(int(entry.name[1:]) for entry in self.directory.glob("m*") if entry.name[1:].isdecimal())

    def is_owner_alive(self) -> bool:
        """Whether the process that writes here is alive. Call it before reading: what is read after a False is everything.

        Raises:
            StoreError: the lock file cannot be opened.
        """
        try:
            descriptor = os.open(self.directory / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            text = f"the outbox {self.directory} cannot be read: {error.strerror}; fix its permissions"
            raise StoreError(text) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def was_closed(self) -> bool:
        """Whether the owner closed the outbox properly."""
        return (self.directory / CLOSED_FILE).exists()

    def holds_record(self, position: Position) -> bool:
        """Whether there is a complete record at ``position``."""
        records = self.records(position)
        try:
            return next(records, None) is not None
        finally:
            records.close()


class _Window:
    """A file read in growing pieces, so that finding nothing new is cheap; reads past its end return nothing."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._piece = _FIRST_READ_BYTES
        self._base = 0
        self._bytes = b""

    def read(self, start: int, size: int) -> bytes:
        if start + size > self._size:
            return b""
        if not self._base <= start <= start + size <= self._base + len(self._bytes):
            self._base = start
            self._bytes = os.pread(self._descriptor, max(size, self._piece), start)
            self._piece = min(self._piece * 4, _READ_BYTES_MAX)
        return self._bytes[start - self._base : start - self._base + size]


def _whole(window: _Window, offset: int) -> Generator[OutboxRecord]:
    while len(header := window.read(offset, HEADER.size)) == HEADER.size:
        size, crc, number = HEADER.unpack(header)
        if not size:
            return
        payload = window.read(offset + HEADER.size, size)
        if len(payload) < size or checksum(payload) != crc:
            return
        end = offset + room_for(size)
        yield OutboxRecord(number, offset, end, payload)
        offset = end

"""The outbox: records in memory-mapped files, which survive the death of this process as soon as they are put.

A directory per process start holds segments ``m00000001``, ``m00000002`` … of one size, each a sequence of records::

    length u32 | crc32 of the payload u32 | number u64 | payload | padding to 8 bytes        (little-endian)

The payload is written before its header, so a reader (``sidecar.record.outbox_reader``) sees whole records or a zero length.
``put`` only copies memory: a system call would release the interpreter lock and wait up to 5 ms to get it back.
"""

import contextlib
import fcntl
import mmap
import os
import shutil
import struct
import threading
import zlib
from pathlib import Path
from typing import Final, Self

from sidecar import limits
from sidecar.errors import StoreError
from sidecar.logs import get_logger

log = get_logger(__name__)

HEADER: Final = struct.Struct("<IIQ")
LOCK_FILE: Final = "lock"
CLOSED_FILE: Final = "closed"
"""This file is in the directory of an owner that closed it properly."""

_CRC_STEP_BYTES: Final = 4096


class OutboxFull(StoreError):
    """There is no room for the record: ``bytes_max`` is reached, or the disk is full."""


def segment_file(directory: Path, number: int) -> Path:
    """The path of segment ``number`` (from 1) of an outbox directory."""
    return directory / f"m{number:08d}"


def room_for(payload_bytes: int) -> int:
    """The number of bytes that a record with that payload takes in its segment."""
    return (HEADER.size + payload_bytes + 7) & ~7


def checksum(payload: bytes) -> int:
    """The CRC-32 of a payload, computed in steps: zlib releases the interpreter lock for more than 5 KiB at once."""
    if len(payload) <= _CRC_STEP_BYTES:
        return zlib.crc32(payload)
    crc = 0
    with memoryview(payload) as view:
        for start in range(0, len(view), _CRC_STEP_BYTES):
            crc = zlib.crc32(view[start : start + _CRC_STEP_BYTES], crc)
    return crc


class _Segment:
    """One mapped file whose blocks are allocated: a full disk is an error here, never a signal later."""

    def __init__(self, directory: Path, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.path = segment_file(directory, number)
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _reserve(self.descriptor, size)
            self.map = mmap.mmap(self.descriptor, size)
        except OSError:
            os.close(self.descriptor)
            self.path.unlink()
            raise

    def sync(self) -> None:
        # Not mmap.flush: that holds the interpreter lock while it waits for the disk.
        getattr(os, "fdatasync", os.fsync)(self.descriptor)

    def close(self) -> None:
        self.map.close()
        os.close(self.descriptor)


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    for start in range(0, size, limits.MIB):
        os.pwrite(descriptor, bytes(min(limits.MIB, size - start)), start)


class Outbox:
    """A new outbox directory ``folder/instance`` and its only writer. ``instance`` names this start of this process.

    The owner holds a lock on ``lock`` while it is alive, so that the collector can detect a dead one. Threads may share it.

    Raises:
        StoreError: the directory exists already or cannot be written, or there is no room for the first segment.
    """

    def __init__(
        self,
        folder: Path,
        instance: str,
        *,
        segment_bytes: int = limits.OUTBOX_SEGMENT_BYTES,
        bytes_max: int = limits.OUTBOX_BYTES_MAX,
    ) -> None:
        self.directory = folder / instance
        self._segment_bytes = segment_bytes
        self._bytes_max = bytes_max
        self._putting = threading.Lock()
        self._making = threading.Lock()
        self._stop = threading.Event()
        self._offset = 0
        self._number = 1
        self._spare: _Segment | None = None
        self._retired: list[_Segment] = []
        self._full: OutboxFull | None = None
        self._is_open = True
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.mkdir(mode=0o700)
        except OSError as error:
            raise self._creation_error(error) from None
        # The lock is held before the first segment exists: readers ignore a directory without segments.
        self._lock = os.open(self.directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._segment = self._make(1, segment_bytes)
        except (OSError, OutboxFull) as error:
            os.close(self._lock)
            shutil.rmtree(self.directory, ignore_errors=True)
            raise self._creation_error(error) from None
        self._thread = threading.Thread(target=self._maintain, name="outbox", daemon=True)
        self._thread.start()

    def put(self, payload: bytes) -> None:
        """Append one record. Once this returns only a power failure can lose it, and only for a fifth of a second.

        Raises:
            OutboxFull: there is no room; nothing was written, and a later record may fit again.
            StoreError: the outbox is closed.
        """
        size = len(payload)
        if not size:
            raise ValueError("a record needs at least one byte; a length of 0 marks the end")
        crc = checksum(payload)
        room = room_for(size)
        with self._putting:
            if not self._is_open:
                raise StoreError("the outbox is closed; nothing more can be recorded by this process")
            if self._offset + room > self._segment.size:
                self._turn(room)
            at, view = self._offset, self._segment.map
            view[at + HEADER.size : at + HEADER.size + size] = payload
            HEADER.pack_into(view, at, size, crc, self._number)
            self._offset = at + room
            self._number += 1

    def close(self) -> None:
        """Write everything to disk, free unused space and release the lock. A second call does nothing."""
        with self._putting:
            if not self._is_open:
                return
            self._is_open = False
        self._stop.set()
        self._thread.join()
        with self._making:
            self._drop_spare()
            try:
                self._segment.map.close()
                os.ftruncate(self._segment.descriptor, self._offset)
                for segment in (*self._retired, self._segment):
                    segment.sync()
                (self.directory / CLOSED_FILE).touch(mode=0o600)
            except OSError as error:
                log.warning("outbox not closed cleanly", outbox=str(self.directory), error=error.strerror)
            for segment in (*self._retired, self._segment):
                segment.close()
        os.close(self._lock)

    def _creation_error(self, error: OSError | OutboxFull) -> StoreError:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return StoreError(f"the outbox {self.directory} cannot be created: {why}; free disk space, or fix the folder")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _turn(self, room: int) -> None:
        """Continue in the next segment: the one prepared in the background, unless it is too small or missing."""
        if self._full is not None and self._spare is None:
            raise self._full
        with self._making:
            if self._spare is None or self._spare.size < room:
                self._drop_spare()
                self._spare = self._try_make(max(self._segment_bytes, room))
            self._retired.append(self._segment)
            self._segment, self._spare = self._spare, None
            self._offset = 0

    def _try_make(self, size: int) -> _Segment:
        try:
            made = self._make(self._segment.number + 1, size)
        except OSError as error:
            self._full = OutboxFull(f"the outbox {self.directory} has no room: {error.strerror}; free disk space")
            raise self._full from None
        except OutboxFull as error:
            self._full = error
            raise
        self._full = None
        return made

    def _make(self, number: int, size: int) -> _Segment:
        held = 0
        for segment in self.directory.glob("m*"):
            # The collector may delete segments at any moment, which makes room.
            with contextlib.suppress(FileNotFoundError):
                held += segment.stat().st_size
        if held + size > self._bytes_max:
            text = f"the outbox {self.directory} is full: {held} of {self._bytes_max} bytes wait to be shipped"
            raise OutboxFull(f"{text}; check that the collector runs and reaches the store")
        return _Segment(self.directory, number, size)

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare.path.unlink(missing_ok=True)
            self._spare = None

    def _maintain(self) -> None:
        """The background thread: sync to disk, and prepare the next segment before this one is full."""
        synced = 0
        while not self._stop.wait(limits.OUTBOX_SYNC_S):
            if (self._offset > self._segment.size // 2 or self._full is not None) and self._spare is None:
                with self._making, contextlib.suppress(OutboxFull):
                    if self._spare is None:
                        self._spare = self._try_make(self._segment_bytes)
            if (number := self._number) != synced:
                synced = number
                try:
                    self._sync()
                except OSError as error:
                    log.error("outbox not synced to disk", outbox=str(self.directory), error=error.strerror)

    def _sync(self) -> None:
        with self._making:
            retired, self._retired = self._retired, []
            current = self._segment
        for segment in retired:
            segment.sync()
            segment.close()
        current.sync()

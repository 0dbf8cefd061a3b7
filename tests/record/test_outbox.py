import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import StoreError
from sidecar.record.outbox import HEADER, Outbox, OutboxFull, room_for, segment_file
from sidecar.record.outbox_reader import OutboxReader, OutboxRecord, Position, outboxes
from tests.record.conftest import ROOT, until

WRITER = """
import sys
from pathlib import Path
from sidecar.record.outbox import Outbox

outbox = Outbox(Path(sys.argv[1]), "writer", segment_bytes=256 * 1024)
for number in range(1_000_000):
    outbox.put(b"%d " % number + b"x" * (number % 3000))
    if number % 100 == 0:
        print(number, flush=True)
"""


def read_all(directory: Path) -> list[OutboxRecord]:
    """Every record of an outbox directory, in order."""
    tail, found, place = OutboxReader(directory), [], Position()
    while True:
        for record in tail.records(place):
            found.append(record)
            place = Position(place.segment, record.end)
        if (following := tail.after(place)) is None:
            return found
        place = following


def payloads(directory: Path) -> list[bytes]:
    """What was put, in order."""
    return [record.payload for record in read_all(directory)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=700), max_size=60))
def test_what_is_put_is_read(tmp_path_factory: pytest.TempPathFactory, given_payloads: list[bytes]) -> None:
    """Any bytes come back the same and in order, over many segments, also when one is larger than a segment."""
    folder = tmp_path_factory.mktemp("outbox")
    with Outbox(folder, "writer", segment_bytes=512) as outbox:
        for payload in given_payloads:
            outbox.put(payload)
        assert payloads(outbox.directory) == given_payloads
    assert payloads(folder / "writer") == given_payloads
    assert [record.number for record in read_all(folder / "writer")] == list(range(1, len(given_payloads) + 1))


def test_threads_share_an_outbox(tmp_path: Path) -> None:
    """Records of several threads are all there, none torn."""
    with Outbox(tmp_path, "writer", segment_bytes=8192) as outbox:

        def write(name: int) -> None:
            for number in range(300):
                outbox.put(f"{name}/{number}".encode())

        threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(payloads(tmp_path / "writer")) == sorted(f"{a}/{b}".encode() for a in range(4) for b in range(300))


def test_kill_takes_nothing_that_was_put(tmp_path: Path) -> None:
    """A process killed in the middle of writing loses no record it had put, and leaves no half of one."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(40)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().split()]
    found = payloads(tmp_path / "writer")
    assert len(found) > told[-1]
    assert all(payload == b"%d " % number + b"x" * (number % 3000) for number, payload in enumerate(found))
    assert not OutboxReader(tmp_path / "writer").is_owner_alive()
    assert not OutboxReader(tmp_path / "writer").was_closed()


def test_put_does_not_wait_for_the_interpreter_lock(tmp_path: Path) -> None:
    """Beside a busy thread a put costs microseconds; a system call or a long checksum would wait 5 ms for its turn."""
    is_over = threading.Event()
    took = []

    def spin() -> None:
        while not is_over.is_set():
            pass

    busy = threading.Thread(target=spin)
    with Outbox(tmp_path, "writer") as outbox:
        busy.start()
        for _ in range(300):
            started = time.perf_counter()
            outbox.put(b"x" * 20_000)
            took.append(time.perf_counter() - started)
        is_over.set()
        busy.join()
    assert sorted(took)[len(took) // 2] < 0.001


def test_full_is_said_and_passes(tmp_path: Path) -> None:
    """At the bound a put says so; what was put stays, and when segments were shipped there is room again."""
    with Outbox(tmp_path, "writer", segment_bytes=4096, bytes_max=3 * 4096) as outbox:
        for _ in range(3 * (4096 // room_for(500))):
            outbox.put(b"x" * 500)
        with pytest.raises(OutboxFull, match=r"is full: .* bytes wait to be shipped; check that the collector runs"):
            outbox.put(b"x" * 500)
        assert payloads(outbox.directory) == [b"x" * 500] * 3 * (4096 // room_for(500))
        segment_file(outbox.directory, 1).unlink()

        def fits() -> bool:
            try:
                outbox.put(b"later" * 100)
            except OutboxFull:
                return False
            return True

        until(fits, "room")
        assert OutboxReader(outbox.directory).segments() == [2, 3, 4]


def test_a_record_larger_than_all_is_refused_alone(tmp_path: Path) -> None:
    """A record that can never fit is refused; the next one is taken."""
    with Outbox(tmp_path, "writer", segment_bytes=4096, bytes_max=4 * 4096) as outbox:
        outbox.put(b"a")
        with pytest.raises(OutboxFull):
            outbox.put(b"x" * 100_000)
        outbox.put(b"b")
        assert payloads(outbox.directory) == [b"a", b"b"]


def test_owner_alive_and_closed(tmp_path: Path) -> None:
    """The collector can tell a living owner from one that ended and from one that died."""
    outbox = Outbox(tmp_path, "writer")
    tail = OutboxReader(outbox.directory)
    assert tail.is_owner_alive()
    outbox.put(b"a")
    outbox.close()
    outbox.close()
    assert not tail.is_owner_alive()
    assert tail.was_closed()
    assert segment_file(outbox.directory, 1).stat().st_size == room_for(1)
    with pytest.raises(StoreError, match="closed"):
        outbox.put(b"b")
    with pytest.raises(ValueError, match="at least one byte"):
        Outbox(tmp_path, "other").put(b"")


def test_an_instance_is_used_once(tmp_path: Path) -> None:
    """Two starts never write into the same directory, and an unusable folder is said in one sentence."""
    with Outbox(tmp_path, "writer"), pytest.raises(StoreError, match="cannot be created: File exists; free disk space"):
        Outbox(tmp_path, "writer")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be created"):
        Outbox(tmp_path / "file", "writer")
    with pytest.raises(StoreError, match=r"cannot be created.*is full"):
        Outbox(tmp_path, "small", segment_bytes=4096, bytes_max=1)
    assert not (tmp_path / "small").exists()


def test_only_begun_directories_are_looked_at(tmp_path: Path) -> None:
    """A directory whose owner is just starting is not taken for a dead one."""
    (tmp_path / "starting").mkdir()
    (tmp_path / "starting" / "lock").touch()
    with Outbox(tmp_path, "writer") as outbox:
        assert outboxes(tmp_path) == [outbox.directory]
    assert outboxes(tmp_path / "nowhere") == []


def test_no_segment_is_left_too_early(tmp_path: Path) -> None:
    """A record written to the old segment between two looks is read, although the next segment is in use by then."""
    with Outbox(tmp_path, "writer", segment_bytes=4096) as outbox:
        for _ in range(7):
            outbox.put(b"x" * 900)
        tail = OutboxReader(outbox.directory)
        last = list(tail.records(Position()))[-1]
        assert tail.after(Position(1, last.start)) is None
        assert tail.after(Position(1, last.end)) == Position(2)
        assert tail.after(Position(2, 4 * room_for(900))) is None


def test_a_damaged_record_ends_its_segment_only(tmp_path: Path) -> None:
    """What power loss tore out of the middle costs what followed it in its segment, not the next segments."""
    with Outbox(tmp_path, "writer", segment_bytes=4096) as outbox:
        for number in range(12):
            outbox.put(b"%04d" % number * 250)
    file = segment_file(tmp_path / "writer", 1)
    content = bytearray(file.read_bytes())
    content[room_for(1000) + HEADER.size + 5] ^= 1
    file.write_bytes(content)
    numbers = [record.number for record in read_all(tmp_path / "writer")]
    assert numbers == [1, *range(5, 13)]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_hostile_segments_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, is_length_plausible: bool
) -> None:
    """Whatever bytes stand in a segment, reading ends, and only records with the right checksum come out."""
    directory = tmp_path_factory.mktemp("hostile")
    if is_length_plausible:
        content = struct.pack("<I", len(content)) + content
    segment_file(directory, 1).write_bytes(content)
    (directory / "lock").touch()
    assert all(record.end <= len(content) + 8 for record in read_all(directory))


def test_files_are_private(tmp_path: Path) -> None:
    """Nobody but the user reads the outbox."""
    os.umask(0)
    with Outbox(tmp_path / "outbox", "writer") as outbox:
        outbox.put(b"a")
        modes = {path.stat().st_mode & 0o077 for path in [*outbox.directory.iterdir(), outbox.directory]}
    os.umask(0o022)
    assert modes == {0}


def test_segments_may_go_while_it_writes(tmp_path: Path) -> None:
    """A collector that deletes shipped segments at the same time never makes a put fail."""
    is_over = threading.Event()
    with Outbox(tmp_path, "writer", segment_bytes=512) as outbox:
        tail = OutboxReader(outbox.directory)

        def delete() -> None:
            while not is_over.is_set():
                for number in tail.segments()[:-3]:
                    segment_file(outbox.directory, number).unlink()

        collector = threading.Thread(target=delete)
        collector.start()
        try:
            for _ in range(2000):
                outbox.put(b"x" * 200)
        finally:
            is_over.set()
            collector.join()


def test_directories_may_go_while_they_are_listed(tmp_path: Path) -> None:
    """An outbox that is removed while others look is either there or not."""
    is_over = threading.Event()

    def come_and_go() -> None:
        for number in range(1000):
            directory = tmp_path / f"d{number}"
            directory.mkdir()
            (directory / "lock").touch()
            segment_file(directory, 1).touch()
            directory.rename(tmp_path / f".gone{number}")
        is_over.set()

    mover = threading.Thread(target=come_and_go)
    mover.start()
    while not is_over.is_set():
        assert all(not directory.name.startswith(".") for directory in outboxes(tmp_path))
    mover.join()
    assert outboxes(tmp_path) == []


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """When the disk gives no more room a put says so at once, and what fits goes on being kept."""
    code = f"""
import resource
from pathlib import Path
from sidecar.record.outbox import Outbox, OutboxFull

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
outbox = Outbox(Path({str(tmp_path)!r}), "writer", segment_bytes=50_000)
outbox.put(b"before")
try:
    outbox.put(b"x" * 200_000)
except OutboxFull as error:
    print(error)
outbox.put(b"after")
outbox.close()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert "has no room: File too large; free disk space" in done.stdout
    assert payloads(tmp_path / "writer") == [b"before", b"after"]

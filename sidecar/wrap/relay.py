"""The relay: a thread for each direction carries lines between a client and its server, and has the proxy judge each one.

Reads and writes block, so a slow side slows down only the other one, as a pipe between the two would; and no descriptor
that is shared with other processes is ever set to non-blocking.
"""

import contextlib
import os
import select
import threading
from collections.abc import Iterator

from sidecar import limits
from sidecar.wrap import frames
from sidecar.wrap.judge_client import JudgeClient, Unavailable, end_frame, lines_frame, long_frame, say_on_stderr
from sidecar.wrap.options import Options
from sidecar.wrap.server_process import Process

_READ_BYTES = 1 << 16
_LAST_READER_MS = 200
_GONE = select.POLLERR | select.POLLNVAL | select.POLLHUP


class TooLong:
    """A line over the size limit: its first and last bytes, without what was between them."""

    def __init__(self, head: bytes, tail: bytes) -> None:
        self.head = head
        self.tail = tail


def run(options: Options, to_server: int, from_server: int, server: int, watched: int) -> None:
    """Relay until both directions have ended; never returns."""
    code = 0
    try:
        _keep_only(to_server, from_server, watched)
        Relay(options, to_server, from_server, Process(server, watched)).run()
    except BaseException as error:
        # Both sides see the end of the stream; no traceback, because it could quote a message.
        say_on_stderr(options.server)(f"the relay failed and ends ({type(error).__name__})")
        code = 1
    finally:
        os._exit(code)


class _StreamEnd:
    """A descriptor that lines are written to; ``is_whole`` says whether the last one ended with a line feed."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.lock = threading.Lock()
        self.is_whole = True
        self.is_open = True

    def write(self, data: bytes | memoryview) -> None:
        """Write all of it, never in the middle of another thread's line. Raises ``OSError`` when nobody reads any more."""
        if not data:
            return
        with self.lock:
            if not self.is_open:
                raise BrokenPipeError
            self.is_whole = data[-1] == 10
            view = memoryview(data)
            while view:
                view = view[os.write(self.descriptor, view) :]

    def finish_line(self) -> None:
        """End a last line that had no line feed, so that what follows is a line of its own."""
        if not self.is_whole:
            self.write(b"\n")

    def close(self) -> None:
        """Close it once a write in progress is done; the other side sees the end of the stream."""
        with self.lock:
            if self.is_open:
                self.is_open = False
                os.close(self.descriptor)

    def is_read(self, wait_ms: int) -> bool:
        """Whether anybody still reads here, after waiting up to ``wait_ms`` for the last reader to close."""
        poll = select.poll()
        poll.register(self.descriptor, 0)
        return self.is_open and not poll.poll(wait_ms)


class Relay:
    """Both directions of one server process."""

    def __init__(self, options: Options, to_server: int, from_server: int, process: Process) -> None:
        self._say = say_on_stderr(options.server)
        self._judge = JudgeClient(options.server, options.config, self._say)
        self._is_passing = options.on_unavailable == "pass"
        self._has_said = False
        self._process = process
        self._from_server = from_server
        self._client = _StreamEnd(1)
        self._server = _StreamEnd(to_server)
        self._client_left = False

    def run(self) -> None:
        """Carry lines until both directions have ended."""
        inward = threading.Thread(target=self._guarded_inward, name="to server", daemon=True)
        inward.start()
        threading.Thread(target=self._judge.warm, name="judge", daemon=True).start()
        self._outward()
        # A line may still wait for a proxy; when the server is gone, nobody is left to read it.
        if self._server.is_read(_LAST_READER_MS):
            inward.join()

    def _guarded_inward(self) -> None:
        try:
            self._inward()
        except BaseException as error:
            self._say(f"the relay failed and ends ({type(error).__name__})")
            os._exit(1)

    def _inward(self) -> None:
        try:
            for batch in _batches(0, self._server.descriptor):
                self._carry(frames.IN, batch, self._server, self._client)
                del batch
            self._client_left = True
        except OSError:
            # The server no longer reads; a client that goes on writing must notice, as it would without us.
            pass
        self._server.close()
        os.close(0)

    def _outward(self) -> None:
        try:
            for batch in _batches(self._from_server, 1):
                self._carry(frames.OUT, batch, self._client, self._server)
                del batch
        except OSError:
            self._client_left = True
        os.close(self._from_server)
        with contextlib.suppress(OSError):
            self._settle()
        self._client.close()

    def _settle(self) -> None:
        """Tell the proxy that no more responses will come; a client that still waits for one gets the reason."""
        reason = "client" if self._client_left else self._process.end()
        for _, onward, _, _ in frames.verdicts_in(self._judge.tell(frames.OUT, end_frame(reason))):
            if onward:
                self._client.finish_line()
                self._client.write(onward)

    def _carry(self, way: str, batch: "bytes | TooLong", onward: _StreamEnd, back: _StreamEnd) -> None:
        """Have lines that were read together judged, and write what the verdicts say, in order."""
        if isinstance(batch, TooLong):
            lines, blob, parts = [b""], b"", long_frame(batch.head, batch.tail)
        else:
            lines, blob = _split(batch), batch
            parts = lines_frame(lines, blob)
        try:
            verdicts = list(frames.verdicts_in(self._judge.ask(way, parts)))
        except Unavailable as error:
            if isinstance(batch, TooLong):
                self._refuse_long(way, batch, str(error), onward, back)
            else:
                self._without_judge(way, lines, str(error), onward, back)
            return
        if all(is_passed for is_passed, _, _, _ in verdicts):
            for _, _, _, notes in verdicts:
                self._judge.remember(notes)
            onward.write(blob)
            return
        for line, (is_passed, instead, answer, notes) in zip(lines, verdicts, strict=True):
            self._judge.remember(notes)
            onward.write(line if is_passed else instead)
            _answer(back, answer)

    def _refuse_long(self, way: str, batch: TooLong, why: str, onward: _StreamEnd, back: _StreamEnd) -> None:
        """Refuse a line that was too long to be kept in memory; it cannot be passed on even where others are."""
        from sidecar.wrap import refusals

        instead, answer = refusals.long_line(batch.head, batch.tail, way == frames.IN, f"{why}, and the line is too long")
        onward.write(instead)
        _answer(back, answer)

    def _without_judge(self, way: str, lines: list[bytes], why: str, onward: _StreamEnd, back: _StreamEnd) -> None:
        if self._is_passing:
            if not self._has_said:
                self._has_said = True
                self._say("MESSAGES ARE PASSED ON UNJUDGED AND UNRECORDED, as --on-unavailable pass asks for")
            for line in lines:
                onward.write(line)
            return
        # Imported here because most relays never need it, and all would wait for its imports.
        from sidecar.wrap import refusals

        refuse = refusals.from_client if way == frames.IN else refusals.from_server
        for line in lines:
            instead, answer = refuse(line, why)
            onward.write(instead)
            _answer(back, answer)


def _answer(back: _StreamEnd, answer: bytes | memoryview) -> None:
    """Answer the side a line came from. It may have stopped reading; the other thread notices that."""
    with contextlib.suppress(OSError):
        back.write(answer)


def _batches(reading: int, watched: int) -> Iterator["bytes | TooLong"]:
    """Whole lines as they arrive, grouped as they were read; the last one also without a line feed.

    Raises ``BrokenPipeError`` when nobody reads ``watched``, where the lines go, any more.
    """
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.register(watched, 0)
    held: list[bytes] = []
    size = 0
    while chunk := _read(poll, reading, watched):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            whole, held = [*held, chunk[:cut]], [chunk[cut:]] if cut < len(chunk) else []
            size = len(chunk) - cut
            # Keep no reference to a large line while waiting for the next one.
            yield _joined(whole)
            continue
        held.append(chunk)
        size += len(chunk)
        if size > limits.STDIO_LINE_BYTES_MAX:
            head = b"".join(held)[: limits.STDIO_LINE_HEAD_BYTES]
            held.clear()
            long, rest = _skipped(poll, reading, watched, head)
            held, size = ([rest], len(rest)) if rest else ([], 0)
            yield long
    if held:
        yield b"".join(held)


def _joined(pieces: list[bytes]) -> bytes:
    """The pieces joined; the list is emptied, so that their memory is freed."""
    joined = b"".join(pieces) if len(pieces) > 1 else pieces[0]
    pieces.clear()
    return joined


def _skipped(poll: select.poll, reading: int, watched: int, head: bytes) -> tuple[TooLong, bytes]:
    """Skip the rest of a line that is too long; returns it, and what was read after its end."""
    tail = b""
    while chunk := _read(poll, reading, watched):
        end = chunk.find(b"\n")
        tail = (tail + (chunk if end < 0 else chunk[:end]))[-limits.STDIO_LINE_HEAD_BYTES :]
        if end >= 0:
            return TooLong(head, tail), chunk[end + 1 :]
    return TooLong(head, tail), b""


def _read(poll: select.poll, reading: int, watched: int) -> bytes:
    while True:
        for descriptor, event in poll.poll():
            if descriptor == reading:
                return os.read(reading, _READ_BYTES)
            if event & _GONE:
                raise BrokenPipeError


def _split(blob: bytes) -> list[bytes]:
    """The lines, each with its LF, which alone ends a line."""
    if blob.find(b"\n") in (-1, len(blob) - 1):
        return [blob]
    lines = [line + b"\n" for line in blob.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _keep_only(*descriptors: int) -> None:
    """Close every other descriptor but the standard ones: a copy of what the client gave the server would keep it open."""
    keep = {0, 1, 2, *descriptors}
    try:
        given = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        given = [*range(3, 256)]
    for number in given:
        if number not in keep:
            with contextlib.suppress(OSError):
                os.close(number)

"""The client of the judge socket: connects, starts a sidecar if none runs, asks for verdicts, and reconnects.

Each direction of the relay has its own connection and one question open at a time. Both connections lead to one proxy: when
one is lost the other is closed too, and an unanswered question is put to the new proxy. No line is sent on before its
verdict has arrived, so a lost connection neither loses nor duplicates a line.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable

from sidecar import limits
from sidecar.wrap import frames
from sidecar.wrap.socket_path import socket_of
from sidecar.wrap.start_sidecar import Starter

_PAUSE_S = 0.02
_OTHER_VERSION = "the running sidecar uses another protocol version than this program; restart it"


class Unavailable(Exception):
    """No proxy can be reached in time; the text says why."""


class JudgeRefused(Exception):
    """The proxy does not accept this process; the text says why."""


class JudgeClient:
    """The judge socket as both directions of a relay use it."""

    def __init__(self, server: str, config: str, say: Callable[[str], None]) -> None:
        self._server = server
        self._config = config
        self._say = say
        self._wrap = os.urandom(16).hex()
        self._links: dict[str, socket.socket] = {}
        self._connecting = threading.Lock()
        self._notes: dict[bytes, bytes] = {}
        self._refuse_until = 0.0
        self._why = ""

    def ask(self, way: str, parts: list[bytes]) -> memoryview:
        """Send one frame, given in parts, and return the VERDICT for it.

        Raises:
            Unavailable: no proxy answers.
        """
        while True:
            link = self._link(way)
            try:
                frames.send(link, parts)
                kind, payload = frames.receive(link)
            except OSError:
                self._lose(link)
                continue
            if kind != frames.VERDICT:
                self._lose(link)
                raise Unavailable(_OTHER_VERSION)
            return payload

    def warm(self) -> None:
        """Connect before the first line comes, because a sidecar that has to be started takes seconds."""
        with contextlib.suppress(Unavailable):
            self._link(frames.IN)

    def tell(self, way: str, parts: list[bytes]) -> memoryview:
        """Like ``ask`` if a proxy is connected; otherwise nothing is sent, and the answer is empty."""
        link = self._links.get(way)
        if link is not None:
            try:
                frames.send(link, parts)
                return frames.receive(link)[1]
            except OSError:
                self._lose(link)
        return memoryview(b"")

    def remember(self, notes: memoryview) -> None:
        """Keep what a new proxy would have to know, and drop what is done."""
        for key, content in frames.notes_in(notes):
            if not content:
                self._notes.pop(key, None)
            elif len(self._notes) < limits.WRAP_NOTES_MAX:
                self._notes[key] = frames.note(key, content)

    def _lose(self, link: socket.socket) -> None:
        with self._connecting:
            if link not in self._links.values():
                return
            links, self._links = self._links, {}
            for each in links.values():
                # The other direction may wait for an answer that will not come; this wakes it.
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _link(self, way: str) -> socket.socket:
        link = self._links.get(way)
        if link is not None:
            return link
        with self._connecting:
            if not self._links:
                self._links = self._connected()
            return self._links[way]

    def _connected(self) -> dict[str, socket.socket]:
        if time.monotonic() < self._refuse_until:
            try:
                return self._back(self._both())
            except (OSError, JudgeRefused):
                raise Unavailable(self._why) from None
        starter = Starter(self._config)
        until = time.monotonic() + limits.JUDGE_WAIT_S
        try:
            while True:
                try:
                    return self._back(self._both())
                except OSError as error:
                    why = f"no sidecar answers at its socket ({error.strerror or type(error).__name__})"
                except JudgeRefused as error:
                    self._give_up(str(error))
                if failed := starter.step():
                    self._give_up(failed)
                if time.monotonic() > until:
                    self._give_up(why)
                time.sleep(_PAUSE_S)
        finally:
            starter.close()

    def _give_up(self, why: str) -> None:
        self._refuse_until = time.monotonic() + limits.JUDGE_RETRY_S
        if why != self._why:
            self._say(why)
        self._why = why
        raise Unavailable(why)

    def _back(self, links: dict[str, socket.socket]) -> dict[str, socket.socket]:
        if self._why:
            self._why = ""
            self._say("the sidecar can be reached again; messages are judged")
        self._refuse_until = 0.0
        return links

    def _both(self) -> dict[str, socket.socket]:
        links: dict[str, socket.socket] = {}
        try:
            for way in (frames.IN, frames.OUT):
                links[way] = self._one(way)
        except BaseException:
            for link in links.values():
                link.close()
            raise
        return links

    def _one(self, way: str) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(socket_of(self._config))
            if not frames.is_ours(link):
                raise JudgeRefused("the process at the sidecar's socket belongs to another user, so it is not used")
            notes = b"".join([*self._notes.values()]) if way == frames.IN else b""
            frames.send(link, [frames.hello(self._wrap, self._server, way, notes)])
            kind, said = frames.receive(link)
            if kind != frames.HELLO:
                raise JudgeRefused(_OTHER_VERSION)
            if said:
                raise JudgeRefused(bytes(said).decode())
        except BaseException:
            link.close()
            raise
        return link


def lines_frame(lines: list[bytes], blob: bytes) -> list[bytes]:
    """The parts of a LINES frame for the lines that make up ``blob``."""
    return [frames.lines_head(lines), blob]


def long_frame(head: bytes, tail: bytes) -> list[bytes]:
    """The LONG frame for a line of which only both ends are kept."""
    return [frames.frame(frames.LONG, frames.COUNT.pack(len(head)) + head + tail)]


def end_frame(reason: str) -> list[bytes]:
    """The END frame: ``client`` when the client disconnected, else why the server ended."""
    return [frames.frame(frames.END, reason.encode())]


def say_on_stderr(server: str) -> Callable[[str], None]:
    """A function that writes a line to stderr, where clients log what servers write."""

    def say(text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"sidecar wrap ({server}): {text}\n".encode("utf-8", "replace"))

    return say

"""``sidecar up``: proxy, collect and review together; what dies is started again, and all is stopped in order.

Each child holds the reading end of a pipe whose writing end only this process has. When this process is gone, however it
went, the pipe ends and the children stop themselves, so none is left behind.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sidecar import limits, ports
from sidecar.addresses import host_port
from sidecar.errors import SettingsError
from sidecar.logs import get_logger
from sidecar.review.extra import NOT_INSTALLED, is_page_installed
from sidecar.settings import Settings
from sidecar.wrap.running import AlreadyRunningError, sole_run
from sidecar.wrap.socket_path import open_run_folder

log = get_logger("sidecar.up")

PROGRAMS: Final = ("collect", "proxy", "review")
"""In the order they start. They stop proxy first, so that the collector still ships what the proxy wrote last."""

_STOP_ORDER: Final = ("proxy", "collect", "review")
_STOP_WITHIN_S: Final = {"proxy": 10.0, "collect": 30.0, "review": 10.0}
_CANNOT_RUN: Final = 2
_FIRST_WORD_S: Final = 5.0
_NEXT_WORD_S: Final = 90.0
"""After how long it is said what does not answer yet: at first, and then again."""
_PAUSE_MAX_S: Final = 10.0
_STEADY_S: Final = 10.0
"""A program that ran this long had started well, so its next failure is tried again at once."""


def watch_lifeline(descriptor: int) -> None:
    """Stop this process (SIGTERM) when the pipe ``descriptor`` reads from ends, which it does when its parent is gone."""

    def wait() -> None:
        while os.read(descriptor, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


@dataclass(slots=True)
class _Child:
    """One program that is kept running."""

    name: str
    command: Sequence[str]
    lifeline: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    starts: int = 0
    pause_s: float = 0.5
    next_start: float = field(default=0.0)

    def start(self) -> None:
        self.starts += 1
        self.started = time.monotonic()
        # A session of its own: Ctrl-C in the terminal reaches this process only, which then stops the others in order.
        self.process = subprocess.Popen(
            self.command, pass_fds=(self.lifeline,), stdin=subprocess.DEVNULL, start_new_session=True
        )

    def code(self) -> int | None:
        """The exit code of a program that ended, or None."""
        return self.process.poll() if self.process else None

    def stop(self) -> None:
        """Ask it to stop, wait, and insist."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_WITHIN_S[self.name])
        except subprocess.TimeoutExpired:
            log.error("killed: it did not stop in time", program=self.name, waited_s=_STOP_WITHIN_S[self.name])
            self.process.kill()
            self.process.wait()


def run(settings: Settings) -> int:
    """Run all three until SIGINT or SIGTERM; returns 0, or 2 when one of them cannot run with these settings.

    Raises:
        SettingsError: another process runs a sidecar with these settings.
    """
    with _the_only_one(settings):
        return _run(settings, background=frozenset())


def run_in_background(settings: Settings) -> int:
    """The same for ``sidecar wrap``: the proxy must run; what else cannot, a page whose port is taken, say, is tried again.

    Raises:
        SettingsError: another process runs a sidecar with these settings.
    """
    # The folder of whichever client came first is nothing to hold on to.
    os.chdir(open_run_folder())
    with _the_only_one(settings):
        return _run(settings, background=frozenset({"collect", "review"}))


@contextlib.contextmanager
def _the_only_one(settings: Settings) -> Iterator[None]:
    """Hold the lock that says who runs the sidecar of these settings."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(sole_run(settings.file))
        except AlreadyRunningError as error:
            owner = error.process
            text = f"a sidecar runs with these settings already (process {owner}), perhaps started by 'sidecar wrap'"
            raise SettingsError(
                f"{settings.file}: error[running]: {text}; use that one, or stop it first: kill {owner}"
            ) from None
        except OSError as error:
            log.warning("no lock can be held, so nothing keeps a second sidecar from starting", error=str(error))
        yield


def _run(settings: Settings, background: frozenset[str]) -> int:
    names = [name for name in PROGRAMS if name != "review" or is_page_installed()]
    if "review" not in names:
        _say(f"page: {NOT_INSTALLED}")
    waiting = _listeners(settings) if "review" in names else [each for each in _listeners(settings) if each[1] != settings.page]
    if taken := {address: why for _, address in waiting if (why := ports.fault_at(address))}:
        said = [ports.message(settings, address, why) for address, why in taken.items()]
        if not background:
            raise SettingsError("\n".join(said))
        # Whoever has a port now would answer in place of what is to start.
        waiting = [each for each in waiting if each[1] not in taken]
        for line in said:
            log.warning("%s", line)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    reading, writing = os.pipe()
    children = {name: _Child(name, _command(name, settings, reading), reading) for name in names}
    try:
        return _supervise(settings, children, waiting, background, stop)
    finally:
        for name in _STOP_ORDER:
            if name in children:
                children[name].stop()
                _say(f"{name} stopped")
        os.close(writing)


def _command(name: str, settings: Settings, lifeline: int) -> list[str]:
    return [sys.executable, "-O", "-m", "sidecar", name, "-c", settings.file, "--lifeline", str(lifeline)]


def _supervise(
    settings: Settings,
    children: dict[str, _Child],
    waiting: list[tuple[str, str]],
    background: frozenset[str],
    stop: threading.Event,
) -> int:
    for child in children.values():
        child.start()
    next_word = time.monotonic() + _FIRST_WORD_S
    while not stop.wait(0.1):
        for child in children.values():
            code = child.code()
            if code is None:
                continue
            if code == _CANNOT_RUN and child.name in background:
                child.pause_s = limits.BACKGROUND_RETRY_S
            elif code == _CANNOT_RUN and child.starts == 1:
                # It has said why. With the same settings it would only say so again.
                return _CANNOT_RUN
            _restart(child, code)
        if not waiting:
            continue
        waiting = _announce(settings, waiting)
        if not waiting:
            policies = ", ".join(map(str, settings.policies_paths))
            _say(f"ready: policies in {policies}, data in {settings.data_path}; Ctrl-C stops everything")
        elif time.monotonic() > next_word:
            missing = ", ".join(address for _, address in waiting)
            _say(f"still waiting for {missing}; the first start takes longest, as it compiles the detectors")
            next_word = time.monotonic() + _NEXT_WORD_S
    return 0


def _announce(settings: Settings, waiting: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Say what answers now, the page when all else does; what is still waited for.

    Who opens the page looks for calls, and there can be none before clients get through.
    """
    left: list[tuple[str, str]] = []
    for text, address in waiting:
        if (address == settings.page and left) or not _answers(address):
            left.append((text, address))
        else:
            _say(text)
    return left


def _restart(child: _Child, code: int) -> None:
    now = time.monotonic()
    if not child.next_start:
        if now - child.started > _STEADY_S and code != _CANNOT_RUN:
            child.pause_s = 0.5
        log.error(f"{child.name} ended and is started again", exit_code=code, in_s=child.pause_s)
        child.next_start = now + child.pause_s
        child.pause_s = min(child.pause_s * 2, _PAUSE_MAX_S)
    elif now >= child.next_start:
        child.next_start = 0.0
        child.start()


def _listeners(settings: Settings) -> list[tuple[str, str]]:
    """What to say when an address answers, and the address; the page comes last."""
    listeners = [
        (f"{server.name}: point clients at http://{server.listen} instead of {server.upstream}", server.listen)
        for server in settings.servers
        if server.listen
    ]
    if settings.forward:
        names = ", ".join(server.name for server in settings.http_servers)
        listeners.append((f"forward: set http://{settings.forward} as the clients' proxy for {names}", settings.forward))
    if settings.store_address.kind == "chdb":
        listeners.append((f"record: read-only ClickHouse over HTTP at http://{settings.reader}", settings.reader))
    listeners.append((f"page: http://{settings.page}", settings.page))
    return listeners


def _answers(address: str) -> bool:
    host, port = host_port(address)
    try:
        socket.create_connection(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port), 0.2).close()
    except OSError:
        return False
    return True


def _say(text: str) -> None:
    sys.stdout.write(f"sidecar  {text}\n")
    sys.stdout.flush()

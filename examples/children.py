"""Starts the demo's processes and stops them in order, also when the demo itself is killed and can stop nothing.

A guard process holds the reading end of a pipe on which it is told of every child. The pipe closes when the demo ends,
however it ends, and what is still running then is stopped by the guard.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

STOP_WAIT_S = 60.0
"""How long a process may take to stop by itself: more than the sidecar gives its own parts to ship the last calls."""


class Children:
    """Processes that live no longer than this one; the last one started is the first one stopped."""

    def __enter__(self) -> Self:
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        command = [sys.executable, "-S", __file__]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        return self

    def start(self, name: str, command: Sequence[str], output: IO[bytes] | None = None) -> None:
        """Start a process in a group of its own, so that Ctrl-C reaches only us; ``output`` takes what it prints."""
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        self.processes[name] = child
        assert self._guard.stdin
        self._guard.stdin.write(b"%d\n" % child.pid)
        self._guard.stdin.flush()

    def ended(self) -> tuple[str, int] | None:
        """The name and exit status of a process that ended by itself."""
        return next(((name, code) for name, child in self.processes.items() if (code := child.poll()) is not None), None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        stop_in_order(child.pid for child in reversed(self.processes.values()) if child.poll() is None)
        self._guard.kill()
        self._guard.wait()


def stop_in_order(pids: Iterable[int]) -> None:
    """Ask each process to stop and wait for it, one after the other; what does not stop is killed with its group."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
        deadline = time.monotonic() + STOP_WAIT_S
        while not is_gone(pid):
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                break
            time.sleep(0.05)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it a child of ours or not."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        pass
    try:
        # In a container nobody may collect the dead, and a signal "reaches" them too; Linux tells them by their state.
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def guard() -> None:
    """Wait for the pipe to close, then stop every process that was named on it."""
    pids = [int(line) for line in sys.stdin]
    stop_in_order(pid for pid in reversed(pids) if not is_gone(pid))


if __name__ == "__main__":
    guard()

"""The server's process as the relay sees it: it is not the relay's child, so the relay cannot wait for it."""

import fcntl
import os
import select
import struct

_END_WAIT_MS = 200
"""A process usually ends microseconds after its output, unless it goes on without output."""

_INFO = struct.Struct("<QQ12I")
_INFO_EXIT = 1 << 3
_GET_INFO = (3 << 30) | (_INFO.size << 16) | (0xFF << 8) | 11
"""Linux 6.15: PIDFD_GET_INFO returns the exit code even of a process that was already waited for."""


class Process:
    """A process by its ``id`` and, on Linux, by its pidfd, which never refers to another process."""

    def __init__(self, process: int, watched: int) -> None:
        self.id = process
        self._watched = watched

    def end(self) -> str:
        """How it ended, in words that follow 'the server'; call it when its output has ended."""
        if self._watched >= 0:
            poll = select.poll()
            poll.register(self._watched, select.POLLIN)
            if not poll.poll(_END_WAIT_MS):
                return "it closed its output"
            status = self._status()
            if status is not None and os.WIFSIGNALED(status):
                return f"it was ended by signal {os.WTERMSIG(status)}"
            if status is not None:
                return f"it ended with exit code {os.waitstatus_to_exitcode(status)}"
        return "it ended"

    def _status(self) -> int | None:
        """The wait status, where the kernel tells it to processes other than the parent."""
        try:
            with open(f"/proc/{self.id}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
            if fields[0] == b"Z":
                return int(fields[49])
        except (OSError, ValueError, IndexError):
            pass
        try:
            info = bytearray(_INFO.pack(_INFO_EXIT, *[0] * 13))
            fcntl.ioctl(self._watched, _GET_INFO, info)
        except OSError:
            return None
        said = _INFO.unpack(info)
        return said[-1] if said[0] & _INFO_EXIT else None

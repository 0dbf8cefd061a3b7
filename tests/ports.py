"""Ports for programs that must be told theirs before they listen: nobody else is given one, and none is taken meanwhile.

A port of 0 is the system's choice, from those it also gives to outgoing connections; one that was looked up and let go can be
some connection's own a moment later. These lie below that range, and each process that tests holds a block of them.
"""

import fcntl
import itertools
import os
import socket
import tempfile
from functools import cache
from typing import IO

# Above the ports that browsers refuse, below those for outgoing connections (from 32,768 on Linux, 49,152 on macOS).
_BLOCKS = range(11_000, 32_000, 500)


@cache
def _block() -> tuple["itertools.cycle[int]", IO[bytes]]:
    """The ports of this process, and the locked file that says so for as long as it runs."""
    for first in _BLOCKS:
        lock = open(os.path.join(tempfile.gettempdir(), f"sidecar-tests-{os.getuid()}-{first}.lock"), "ab")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return itertools.cycle(range(first, first + _BLOCKS.step)), lock
    raise RuntimeError("no block of ports is free: too many test runs at once")


def free_port() -> int:
    """A port nobody listens on; the next 499 that are given are others."""
    ports, _ = _block()
    while True:
        port = next(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

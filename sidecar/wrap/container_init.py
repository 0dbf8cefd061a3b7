"""Process 1 of a container: when it ends, the kernel kills all others, the relay with its last lines too.

So there the server runs as its only child, and this process hands signals on, waits, and lets the relay finish. What the
server sees is that it is not process 1, which is what servers expect.
"""

import os
import signal
import time

_LAST_LINES_S = 2.0
_NOT_HANDED_ON = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}


def stand_before() -> None:
    """Fork: the child returns and goes on as if it had been started by the client; the parent never returns."""
    server = os.fork()
    if server == 0:
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        # A copy here would keep the client from seeing that the server closed its own.
        os.dup2(nowhere, descriptor)
    for number in signal.valid_signals() - _NOT_HANDED_ON:
        try:
            signal.signal(number, lambda got, _: os.kill(server, got))
        except (OSError, ValueError):
            continue
    os._exit(_code(_waited(server)))


def _waited(server: int) -> int:
    """The wait status of the server, once what it left behind has ended too or has had its time."""
    while True:
        process, status = os.wait()
        if process == server:
            break
    until = time.monotonic() + _LAST_LINES_S
    while time.monotonic() < until:
        try:
            process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if not process:
            time.sleep(0.01)
    return status


def _code(status: int) -> int:
    """As shells tell it: a process 1 cannot die of a signal that it sends itself."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code

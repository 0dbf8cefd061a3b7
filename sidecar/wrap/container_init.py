"""Process 1 of a container: when it ends, the kernel kills all others, including a relay with lines still to deliver.

So there the server runs as a child: this process forwards signals, waits, and lets the relay finish. The server is then
not process 1, which is what servers expect.
"""

import os
import signal
import time

_LAST_LINES_S = 2.0
_NOT_FORWARDED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}


def stand_before() -> None:
    """Fork: the child returns and continues as if the client had started it; the parent never returns."""
    server = os.fork()
    if server == 0:
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        # With copies open here, the client would not notice that the server closed its own.
        os.dup2(nowhere, descriptor)
    for number in signal.valid_signals() - _NOT_FORWARDED:
        try:
            signal.signal(number, lambda got, _: os.kill(server, got))
        except (OSError, ValueError):
            continue
    os._exit(_code(_waited(server)))


def _waited(server: int) -> int:
    """The wait status of the server, after its remaining child processes ended or ``_LAST_LINES_S`` passed."""
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
    """The exit code in the form of shells, because process 1 cannot end itself by a signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code

"""``sidecar wrap --server NAME CMD ARGS…``: this process becomes CMD, and a process beside it carries the lines.

The client started this process, so CMD takes its place (``exec``): process id, process group, terminal, signals, stderr and
exit code are CMD's own and need no imitation. Only stdin and stdout go through the relay, a process in its own session, so
signals for CMD never reach it. Nothing but ``os``, ``sys`` and the options is imported before CMD runs.
"""

import os
import sys

from sidecar.wrap.options import USAGE, Options, UsageError, parse

_CANNOT_RUN = 2
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127


def main(arguments: list[str]) -> int:
    """Run a server through the sidecar. Returns only when that fails: 2 for a wrong command line, 126 or 127 as shells do."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    try:
        options = parse(arguments)
    except UsageError as error:
        sys.stderr.write(f"sidecar wrap: {error}\n{USAGE}")
        return _CANNOT_RUN
    try:
        # With -m, Python looks for modules in the client's folder first, which may hold anything.
        sys.path[:] = [folder for folder in sys.path if folder not in ("", os.getcwd())]
        _fill_standard_descriptors()
        if os.getpid() == 1:
            from sidecar.wrap import container_init

            container_init.stand_before()
        to_server, from_server = _with_relay(options)
    except OSError as error:
        sys.stderr.write(f"sidecar wrap: no relay can be started: {error.strerror}\n")
        return _CANNOT_RUN
    os.dup2(to_server, 0)
    os.dup2(from_server, 1)
    os.close(to_server)
    os.close(from_server)
    return _become(options.command)


def _with_relay(options: Options) -> tuple[int, int]:
    """Start the relay of this process; returns the descriptors that become CMD's stdin and stdout."""
    to_server, from_relay = os.pipe()
    to_relay, from_server = os.pipe()
    server = os.getpid()
    watched = _watched(server)
    between = os.fork()
    if between == 0:
        # Fork twice, so that CMD gets no child process that it did not start.
        os.setsid()
        if os.fork():
            os._exit(0)
        os.close(to_server)
        os.close(from_server)
        from sidecar.wrap import relay

        relay.run(options, from_relay, to_relay, server, watched)
    os.waitpid(between, 0)
    os.close(from_relay)
    os.close(to_relay)
    return to_server, from_server


def _watched(server: int) -> int:
    """A pidfd of this process, which no later process of the same number can take over; -1 where the system has none."""
    try:
        return os.pidfd_open(server) if hasattr(os, "pidfd_open") else -1
    except OSError:
        return -1


def _fill_standard_descriptors() -> None:
    """Open what is closed of 0, 1 and 2: without a stdin, a pipe of ours would get its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _become(command: list[str]) -> int:
    """Run CMD in place of this process, with signals and environment as the client set them."""
    import signal

    # Python ignores these signals, and ignored signals stay ignored across exec.
    for number in (signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)):
        signal.signal(number, signal.SIG_DFL)
    _forget_coerced_locale()
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        sys.stderr.write(f"sidecar wrap: {command[0]}: there is no such command\n")
        return _NOT_FOUND
    except (OSError, ValueError) as error:
        sys.stderr.write(f"sidecar wrap: {command[0]}: cannot be run: {getattr(error, 'strerror', '') or error}\n")
        return _NOT_EXECUTABLE


def _forget_coerced_locale() -> None:
    """Undo PEP 538: Python sets LC_CTYPE where the locale is C, but the server must see the client's environment."""
    if os.environ.get("LC_CTYPE") not in ("C.UTF-8", "C.utf8", "UTF-8"):
        return
    try:
        with open("/proc/self/environ", "rb") as given:
            if not any(each.startswith(b"LC_CTYPE=") for each in given.read().split(b"\0")):
                del os.environ["LC_CTYPE"]
    except OSError:
        return

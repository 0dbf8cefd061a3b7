"""``sidecar wrap --server NAME -- CMD ARGS…``: this process becomes CMD, and a process beside it carries the lines.

The client started this process, so CMD takes its place (``exec``): process id, process group, terminal, signals, stderr and
exit code are CMD's own and need no imitation. Only stdin and stdout lead through the relay, a process in a session of its
own, which the signals for CMD therefore never reach. Nothing but ``os`` and ``sys`` is imported before CMD runs.
"""

import os
import sys

_USAGE = """usage: sidecar wrap --server NAME [-c FILE] [--on-unavailable block|pass] -- COMMAND [ARGUMENT ...]

Run an MCP server over stdio with every message judged and recorded by the sidecar, which is started if none runs.

  --server NAME            what policies and the record call it
  -c, --config FILE        settings (default: $SIDECAR_CONFIG, else ./sidecar.yaml if it is there, else the defaults)
  --on-unavailable block   when no sidecar can be reached, refuse every request (default)
  --on-unavailable pass    ... pass everything on unjudged, and say so on stderr
"""
_CANNOT_RUN = 2
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127
_NAME_CHARS_MAX = 64


class Options:
    """What the command line said."""

    server = ""
    config = ""
    on_unavailable = "block"
    command: list[str]


class UsageError(Exception):
    """The command line is not one of ours; the text says why."""


def main(arguments: list[str]) -> int:
    """Run a server through the sidecar. Returns only when it cannot: 2 for a wrong command line, 126 or 127 as shells do."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return 0
    try:
        options = parse(arguments)
    except UsageError as error:
        sys.stderr.write(f"sidecar wrap: {error}\n{_USAGE}")
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
    """Start the relay of this process; what CMD is to have as stdin and stdout."""
    to_server, from_relay = os.pipe()
    to_relay, from_server = os.pipe()
    server = os.getpid()
    watched = _watched(server)
    between = os.fork()
    if between == 0:
        # Twice, so that CMD gets no child it does not know of.
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
    """A descriptor that stands for this process and no later one of its number, where the system has such, else -1."""
    try:
        return os.pidfd_open(server) if hasattr(os, "pidfd_open") else -1
    except OSError:
        return -1


def parse(arguments: list[str]) -> Options:
    """The command line taken apart; ``argparse`` would cost more than the rest of this process.

    Raises:
        UsageError: something is missing, unknown or not of its form.
    """
    options = Options()
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, has_value, value = rest.pop(0).partition("=")
        if name not in ("--server", "-c", "--config", "--on-unavailable"):
            raise UsageError(f"{name} is not an option; write '--' before the server's own command")
        if not has_value:
            if not rest:
                raise UsageError(f"{name} needs a value")
            value = rest.pop(0)
        setattr(options, {"-c": "config"}.get(name, name.lstrip("-").replace("-", "_")), value)
    options.command = rest[1:] if rest[:1] == ["--"] else rest
    plain = options.server.replace("-", "").replace("_", "").replace(".", "")
    if not options.server:
        raise UsageError("--server NAME is missing")
    if not plain.isalnum() or len(options.server) > _NAME_CHARS_MAX:
        raise UsageError(f"{options.server!r} is not a name; use letters, digits, '-', '_' and '.', 64 at most")
    if options.on_unavailable not in ("block", "pass"):
        raise UsageError(f"--on-unavailable is block or pass, not {options.on_unavailable!r}")
    if not options.command:
        raise UsageError("the server's command is missing; write it after '--'")
    return _with_config(options)


def _with_config(options: Options) -> Options:
    named = options.config or os.environ.get("SIDECAR_CONFIG", "")
    if named and not os.path.isfile(named):
        raise UsageError(f"there is no settings file {named}; create it, or name another with -c FILE")
    options.config = named or ("sidecar.yaml" if os.path.isfile("sidecar.yaml") else "")
    return options


def _fill_standard_descriptors() -> None:
    """A client may start us without a stdin, and then a pipe of ours would take its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _become(command: list[str]) -> int:
    """Run CMD in place of this process, with everything as the client had set it up."""
    import signal

    # Python ignores these for itself, and what is ignored stays so across exec.
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
    """Python itself sets LC_CTYPE where the locale is C (PEP 538); the server is to see what the client gave."""
    if os.environ.get("LC_CTYPE") not in ("C.UTF-8", "C.utf8", "UTF-8"):
        return
    try:
        with open("/proc/self/environ", "rb") as given:
            if not any(each.startswith(b"LC_CTYPE=") for each in given.read().split(b"\0")):
                del os.environ["LC_CTYPE"]
    except OSError:
        return

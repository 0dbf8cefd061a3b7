"""The command line of ``sidecar wrap``: its options, how they are read, and where the server's own command begins.

``sidecar install`` writes such command lines and recognises them by the same rules. ``argparse`` would take longer than
everything else that happens before the server runs, so none of it is imported.
"""

import os

USAGE = """usage: sidecar wrap --server NAME [-c FILE] [--on-unavailable block|pass] COMMAND [ARGUMENT ...]

Run an MCP server over stdio with every message judged and recorded by the sidecar, which is started if none runs.
The first word that is neither an option nor the value of one begins the server's own command; '--' before it is allowed.

  --server NAME            the server's name in policies and in the record
  -c, --config FILE        settings (default: $SIDECAR_CONFIG, else ./sidecar.yaml if it exists, else the defaults)
  --on-unavailable block   when no sidecar can be reached, refuse every request (default)
  --on-unavailable pass    when no sidecar can be reached, pass everything on unjudged, and say so on stderr
"""
_NAMES = {"--server": "server", "-c": "config", "--config": "config", "--on-unavailable": "on_unavailable"}
_NAME_CHARS_MAX = 64


class Options:
    """What the command line says: the server's name, the settings file ("" for the defaults), and the server's command."""

    server = ""
    config = ""
    on_unavailable = "block"
    command: list[str]


class UsageError(Exception):
    """The command line of ``sidecar wrap`` is wrong; the text says why."""


def split(arguments: list[str]) -> tuple[dict[str, str], int]:
    """The options at the start of a command line, by attribute name of ``Options``, and the index of the server's command.

    Raises:
        UsageError: an option is unknown, or lacks its value.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        word = arguments[at]
        at += 1
        if word == "--":
            break
        name, has_value, value = word.partition("=")
        if name not in _NAMES:
            raise UsageError(f"{name} is not an option of 'sidecar wrap'")
        if not has_value:
            if at == len(arguments):
                raise UsageError(f"{name} needs a value")
            value = arguments[at]
            at += 1
        found[_NAMES[name]] = value
    return found, at


def parse(arguments: list[str]) -> Options:
    """The command line, checked; ``config`` names a file that exists, or is empty.

    Raises:
        UsageError: something is missing, unknown or malformed, or the named settings file does not exist.
    """
    options = Options()
    found, start = split(arguments)
    for name, value in found.items():
        setattr(options, name, value)
    options.command = arguments[start:]
    plain = options.server.replace("-", "").replace("_", "").replace(".", "")
    if not options.server:
        raise UsageError("--server NAME is missing")
    if not plain.isalnum() or len(options.server) > _NAME_CHARS_MAX:
        text = f"{options.server!r} is not a name; use at most {_NAME_CHARS_MAX} letters, digits, '-', '_' and '.'"
        raise UsageError(text)
    if options.on_unavailable not in ("block", "pass"):
        raise UsageError(f"--on-unavailable is block or pass, not {options.on_unavailable!r}")
    if not options.command:
        raise UsageError("the server's command is missing; write it after the options")
    return _with_config(options)


def _with_config(options: Options) -> Options:
    named = options.config or os.environ.get("SIDECAR_CONFIG", "")
    if named and not os.path.isfile(named):
        raise UsageError(f"there is no settings file {named}; create it, or name another with -c FILE")
    options.config = named or ("sidecar.yaml" if os.path.isfile("sidecar.yaml") else "")
    return options

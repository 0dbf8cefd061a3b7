"""The file that starts ``sidecar up`` at login: a systemd user unit, or a launchd agent.

A comment in the file says that it is ours and carries a hash of the rest, so that an edited file is never overwritten or
removed. Sources: systemd.service(5), systemd.syntax(7) (quoting, ``%`` and ``$``), launchd.plist(5).
"""

import hashlib
import plistlib
import re
from collections.abc import Sequence
from typing import Final, Literal

from sidecar.errors import SettingsError

NAME: Final = "mcp-sidecar"
"""The unit's name without ``.service``, and the agent's label."""
_STOP_WITHIN_S: Final = 60
"""``sidecar up`` stops its programs one after the other, which may take 50 s."""
_COMMENT: Final = "Written by 'sidecar service install'; removed by 'sidecar service uninstall'. SHA-256 of the rest: "
_SEAL: Final = re.compile(re.escape(_COMMENT) + r"([0-9a-f]{64})")
_NOT_IN_PROGRAM: Final = re.compile(r"[\"'\\$\x00-\x1f\x7f]")

Origin = Literal["ours", "edited", "foreign"]


def unit(command: Sequence[str]) -> str:
    """The text of a systemd user unit that runs ``command``, whose first word is an absolute path.

    Exit code 2 is not retried: ``sidecar up`` cannot run with these settings, or another one does already.

    Raises:
        SettingsError: a path is not valid Unicode, as unit files have to be.
    """
    if _NOT_IN_PROGRAM.search(command[0]):
        # systemd takes no such character in a program's path, however quoted, but any in arguments.
        command = ("/bin/sh", "-c", 'exec "$0" "$@"', *command)
    text = f"""[Unit]
Description=MCP sidecar

[Service]
Type=exec
ExecStart={" ".join(map(_quoted, command))}
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec={_STOP_WITHIN_S}

[Install]
WantedBy=default.target
"""
    return f"# {_COMMENT}{_digest(text)}\n{text}"


def agent(command: Sequence[str], log: str) -> str:
    """The text of a launchd agent that runs ``command`` at login, with its output appended to the file ``log``.

    It is started again when it crashes, but not after an exit code, which ``sidecar up`` has a reason for.

    Raises:
        SettingsError: a path cannot be written in XML.
    """
    try:
        for word in (*command, log):
            word.encode()
        text = plistlib.dumps(
            {
                "Label": NAME,
                "ProgramArguments": [*command],
                "RunAtLoad": True,
                "KeepAlive": {"Crashed": True},
                "ExitTimeOut": _STOP_WITHIN_S,
                "ProcessType": "Interactive",
                "StandardOutPath": log,
                "StandardErrorPath": log,
            },
            sort_keys=False,
        ).decode()
    except ValueError:
        raise _unusable("a launchd agent") from None
    head, rest = text.split("\n", 1)
    return f"{head}\n<!-- {_COMMENT}{_digest(text)} -->\n{rest}"


def origin(text: str) -> Origin:
    """Whether a file is as we wrote it, was edited since, or is somebody else's."""
    match = _SEAL.search(text)
    if match is None:
        return "foreign"
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end()) + 1 or len(text)
    return "ours" if _digest(text[:start] + text[end:]) == match[1] else "edited"


def command_in(text: str) -> str:
    """The command that a file of ours starts, as it is written there; empty where there is none."""
    found = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    if found:
        return found[1]
    try:
        return " ".join(map(str, plistlib.loads(text.encode())["ProgramArguments"]))
    except (ValueError, KeyError, TypeError, plistlib.InvalidFileException):
        return ""


def _quoted(word: str) -> str:
    """A word of ``ExecStart``: in double quotes, with C escapes; ``%`` and ``$`` are doubled to stand for themselves."""
    try:
        word.encode()
    except UnicodeEncodeError:
        raise _unusable("a unit file") from None
    doubled = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", doubled) + '"'


def _unusable(what: str) -> SettingsError:
    return SettingsError(f"error[service]: the path of the program or of the settings cannot be written in {what}; rename it")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""This program as others start it: its absolute path, its commands as a person types them, and whether a sidecar runs."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from sidecar.wrap.socket_path import base_of, holder


def own_program() -> tuple[str, ...]:
    """The words that start this program, by absolute path: programs with windows and services have another PATH than a shell.

    Without the command beside this Python it is the module, and never one of that name in the working folder.
    """
    script = Path(sys.executable).with_name("sidecar")
    return (str(script),) if os.access(script, os.X_OK) else (sys.executable, "-P", "-m", "sidecar")


def typed(*words: str) -> str:
    """A command of this program as a person types it in a shell; by its path where ``sidecar`` is another program or none."""
    program = own_program()
    found = shutil.which("sidecar")
    if found and len(program) == 1 and os.path.realpath(found) == os.path.realpath(program[0]):
        program = ("sidecar",)
    return shlex.join((*program, *words))


def running(config: Path) -> int:
    """The number of the process that runs a sidecar with these settings, in the background or not; 0 if none does."""
    base = base_of(str(config))
    return holder(base + ".up") or holder(base + ".lock")

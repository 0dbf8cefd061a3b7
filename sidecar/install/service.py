"""``sidecar service``: start the sidecar at login, by a systemd user unit on Linux or a launchd agent on macOS.

Exit codes: 0 done (``status``: installed and running); 1 left as it is, or ``status`` is something else; 2 cannot run.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar import settings
from sidecar.errors import SettingsError
from sidecar.install import service_files
from sidecar.install.executable import own_program, running, typed
from sidecar.install.files import read, replace
from sidecar.install.service_files import NAME
from sidecar.settings import Settings

_LEFT: Final = 1
_WITHIN_S: Final = 90
"""Stopping a sidecar may take a minute."""
_PAUSE_S: Final = 0.1

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manager:
    """The service manager of this system: its file, and the commands that act on the service.

    ``load`` makes it known and starts it at logins, ``start`` starts it now (or anew), ``stop`` ends it and its start at
    logins, ``forget`` follows the removal of the file. ``is_active`` exits with 0 while it runs.
    """

    title: str
    file: Path
    load: tuple[Command, ...]
    start: tuple[Command, ...]
    stop: tuple[Command, ...]
    forget: tuple[Command, ...]
    is_active: Command
    status: tuple[tuple[str, Command], ...]
    log: str

    @property
    def program(self) -> str:
        """The program that all commands run."""
        return self.is_active[0]


def manager(environ: Mapping[str, str] = os.environ, platform: str = "") -> Manager:
    """The service manager of this system (``platform`` as in ``sys.platform``).

    Raises:
        SettingsError: neither systemd nor launchd is what this system has.
    """
    home = Path(environ.get("HOME") or Path.home())
    platform = platform or sys.platform
    if platform == "linux":
        given = environ.get("XDG_CONFIG_HOME", "")
        folder = (Path(given) if given.startswith("/") else home / ".config") / "systemd/user"
        control, name = ("systemctl", "--user"), f"{NAME}.service"
        return Manager(
            "systemd user unit",
            folder / name,
            load=((*control, "daemon-reload"), (*control, "enable", name)),
            start=((*control, "restart", name),),
            stop=((*control, "disable", "--now", name),),
            forget=((*control, "daemon-reload"),),
            is_active=(*control, "is-active", name),
            status=(("at login", (*control, "is-enabled", name)), ("now", (*control, "is-active", name))),
            log=f"journalctl --user -u {name}",
        )
    if platform == "darwin":
        file, domain = home / f"Library/LaunchAgents/{NAME}.plist", f"gui/{os.getuid()}"
        return Manager(
            "launchd agent",
            file,
            # launchd reads the folder at every login, so nothing but the file is needed for that.
            load=(),
            start=(("launchctl", "bootstrap", domain, str(file)),),
            stop=(("launchctl", "bootout", f"{domain}/{NAME}"),),
            forget=(),
            is_active=("launchctl", "print", f"{domain}/{NAME}"),
            status=(),
            log=str(home / f"Library/Logs/{NAME}.log"),
        )
    raise SettingsError(f"error[service]: on {platform} there is no service manager that this command knows; start it yourself")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sidecar service``, beside ``-c``."""
    command.add_argument("action", choices=("install", "uninstall", "status"))
    command.add_argument("--dry-run", action="store_true", help="install: print the file, and write and start nothing")


def run(args: argparse.Namespace) -> int:
    """Install, remove or show the service; returns the exit code.

    Raises:
        SettingsError: the settings do not load, or the service manager is missing or refuses; then nothing was changed.
    """
    config = Path(args.config).expanduser().absolute()
    service = Service(manager(), config)
    if args.action == "install":
        return service.print_file() if args.dry_run else service.install()
    return service.uninstall() if args.action == "uninstall" else service.print_status()


class Service:
    """The one service of this user, which starts ``sidecar up`` with the settings file ``config``."""

    def __init__(self, found: Manager, config: Path) -> None:
        self._manager = found
        self._config = config

    def _text(self) -> str:
        command = (*own_program(), "up", "-c", str(self._config))
        if self._manager.program == "systemctl":
            return service_files.unit(command)
        return service_files.agent(command, self._manager.log)

    def print_file(self) -> int:
        """Print the file as it would be, and on stderr what would be run."""
        settings.load(self._config)
        sys.stdout.write(self._text())
        steps = [f"  {line}" for line in self._by_hand_install()[1:]]
        sys.stderr.write("\n".join([f"(--dry-run) would be written to {self._manager.file}, then:", *steps]) + "\n")
        return 0

    def install(self) -> int:
        """Write the file, have it loaded, and start the sidecar unless one runs already."""
        loaded = settings.load(self._config)
        text, found = self._text(), self._manager
        before = read(found.file) if found.file.exists() else None
        if before is not None and service_files.origin(before) != "ours":
            return self._leave(before)
        self._need_program(self._by_hand_install())
        was_active = not _failure(found.is_active)
        process = 0 if was_active else running(self._config)
        made = [folder for folder in found.file.parents if not folder.exists()]
        replace(found.file, before, text)
        # launchd has no restart, so one that runs is stopped first.
        stop = found.stop if was_active and not found.load else ()
        for step in (*stop, *found.load, *(found.start if not process else ())):
            if failed := _failure(step) or (self._still_active() if step in stop else ""):
                self._restore(text, before, made, is_started=was_active)
                raise self._refused(step, failed, self._by_hand_install())
        _say(f"Written: {found.file} ({found.title}). It starts the sidecar with {self._config} at login.")
        if process:
            start = " && ".join(map(shlex.join, found.start))
            _say(f"A sidecar runs with these settings already (process {process}), so the service was not started now.")
            _say(f"To let the service take over now: kill {process}, wait until it has stopped, then: {start}")
        else:
            _say(f"It was started now. Log: {found.log}")
        if names := unseen_variables(loaded):
            _say(f"A service does not see your shell's variables. These settings need: {', '.join(names)}.")
            _say("Use 'file:PATH' in place of 'env:NAME', or see docs/install.md for variables of services.")
        return 0

    def uninstall(self) -> int:
        """Stop the service and remove the file that ``install`` wrote; an edited one is left."""
        found = self._manager
        if not found.file.exists():
            _say(f"There is no service to remove: {found.file} does not exist.")
            return 0
        before = read(found.file)
        if service_files.origin(before) != "ours":
            return self._leave(before)
        self._need_program(self._by_hand_uninstall())
        if found.load or not _failure(found.is_active):
            for step in found.stop:
                if failed := _failure(step):
                    raise self._refused(step, failed, self._by_hand_uninstall())
        replace(found.file, before, None)
        _say(f"Removed: {found.file}. The sidecar is no longer started at login.")
        for step in found.forget:
            if failed := _failure(step):
                _say(f"'{shlex.join(step)}' failed ({failed}); run it once more by hand.")
        return 0

    def print_status(self) -> int:
        """Print what is installed and whether it runs."""
        found = self._manager
        text = read(found.file) if found.file.exists() else None
        words = {"ours": "installed", "edited": "edited since it was installed", "foreign": "not written by this command"}
        _say(f"file:     {found.file} ({words[service_files.origin(text)] if text is not None else 'not installed'})")
        if text is not None:
            _say(f"starts:   {service_files.command_in(text)}")
        is_there = shutil.which(found.program) is not None
        if not is_there:
            _say(f"now:      unknown, because {found.program} is not on PATH")
        for name, command in found.status if is_there else ():
            _say(f"{name + ':':<9} {_output(command)}")
        is_active = is_there and not _failure(found.is_active)
        if is_there and not found.status:
            _say(f"now:      {'loaded' if is_active else 'not loaded'}")
        if process := running(self._config):
            _say(f"sidecar:  runs with {self._config} (process {process})")
        else:
            _say(f"sidecar:  none runs with {self._config}")
        _say(f"log:      {found.log}")
        return 0 if text is not None and is_active else _LEFT

    def _leave(self, text: str) -> int:
        why = (
            "was edited since it was installed" if service_files.origin(text) == "edited" else "was not written by this command"
        )
        sys.stderr.write(f"{self._manager.file}: error[edited]: it {why}, so it is left as it is. To remove it by hand:\n")
        sys.stderr.write("".join(f"  {line}\n" for line in self._by_hand_uninstall()))
        return _LEFT

    def _still_active(self) -> str:
        """Wait for a service that was told to stop; empty when it has stopped."""
        until = time.monotonic() + _WITHIN_S
        while not _failure(self._manager.is_active):
            if time.monotonic() > until:
                return f"the service did not stop within {_WITHIN_S} s"
            time.sleep(_PAUSE_S)
        return ""

    def _restore(self, text: str, before: str | None, made: list[Path], *, is_started: bool) -> None:
        """After a failed step: file, its new folders (innermost first) and the service as they were."""
        found = self._manager
        if before is None and found.load:
            for step in found.stop:
                _failure(step)
        replace(found.file, text, before)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        for step in (*found.forget, *(found.start if is_started else ())):
            _failure(step)

    def _need_program(self, by_hand: list[str]) -> None:
        if shutil.which(self._manager.program) is None:
            raise self._refused((self._manager.program,), "it is not on PATH", by_hand)

    def _refused(self, step: Command, why: str, by_hand: list[str]) -> SettingsError:
        lines = [f"error[service]: '{shlex.join(step)}' failed: {why}", "Nothing was changed. To do it by hand:"]
        lines += [f"  {line}" for line in by_hand]
        return SettingsError("\n".join([*lines, f"Without a service: {typed('up', '-c', str(self._config))}"]))

    def _by_hand_install(self) -> list[str]:
        file = self._manager.file
        write = typed("service", "install", "--dry-run", "-c", str(self._config))
        first = f"mkdir -p {shlex.quote(str(file.parent))} && {write} > {shlex.quote(str(file))}"
        return [first, *map(shlex.join, (*self._manager.load, *self._manager.start))]

    def _by_hand_uninstall(self) -> list[str]:
        found = self._manager
        return [*map(shlex.join, found.stop), f"rm {shlex.quote(str(found.file))}", *map(shlex.join, found.forget)]


def unseen_variables(loaded: Settings, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that these settings take from a shell's environment, which a service does not have."""
    references = [*(alert.webhook for alert in loaded.alerts), *loaded.secrets]
    named = {text.removeprefix("env:") for text in references if text.startswith("env:")}
    return sorted(named | {name for name in environ if name.startswith("SIDECAR_") and name != "SIDECAR_CONFIG"})


def _failure(command: Command) -> str:
    """Run a command: empty when it succeeded, else the last line of what it wrote, or its exit code."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_WITHIN_S} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    if done.returncode == 0:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def _output(command: Command) -> str:
    """The first line a command writes, whatever its exit code."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown ({type(error).__name__})"
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return lines[0] if lines else "unknown"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")

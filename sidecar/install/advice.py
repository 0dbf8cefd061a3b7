"""What ``sidecar install`` says beside its changes: settings tied to one folder, files without servers, and the next steps."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sidecar.errors import SettingsError
from sidecar.install import service
from sidecar.install.executable import running, typed
from sidecar.install.plan import FilePlan
from sidecar.wrap.socket_path import default_settings


def is_user_wide(config: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a settings file is where settings of a user or a machine are, and not in the folder of some project."""
    home = Path(environ.get("HOME") or Path.home()).resolve()
    given = environ.get("XDG_CONFIG_HOME", "")
    folders = [home / ".config", home / ".local", Path("/etc"), *([Path(given).resolve()] if given.startswith("/") else [])]
    folder = config.resolve().parent
    return folder == home or any(folder.is_relative_to(each) for each in folders)


def tied_to_folder(config: Path, parts: Iterable[FilePlan]) -> list[str]:
    """A warning where configurations for all of a user's projects would depend on the settings of one folder."""
    files = [part.found.file for part in parts if part.edits and part.found.place.base != "project"]
    if not files or is_user_wide(config):
        return []
    several = f"these {len(files)} files apply" if len(files) > 1 else f"{files[0]} applies"
    return [
        f"Warning: {several} to all your projects, but would depend on {config}.",
        "If that file is moved or deleted, the servers no longer start. To use settings that belong to no project:",
        f"  {typed('install', '-c', default_settings())}",
    ]


def without_servers(parts: Iterable[FilePlan]) -> list[str]:
    """A line for each client's file that is empty or names no server, so that nobody wonders why it is not in the list."""
    lines = []
    for part in parts:
        if not part.entries:
            why = "is empty" if not part.tree.text.strip("\ufeff \t\r\n") else "names no MCP server"
            lines.append(f"{part.found.client.title}: {part.found.file} {why}; nothing to do there.")
    return lines


def next_steps(config: Path, parts: Sequence[FilePlan], *, has_new_listeners: bool) -> list[str]:
    """What to run so that the clients' servers work: nothing where a sidecar runs, else how to start one."""
    if not any(part.entries for part in parts):
        return []
    if process := running(config):
        line = f"A sidecar runs with these settings (process {process})."
        return [f"{line} Restart it, so that it listens on the new addresses." if has_new_listeners else line]
    if any(part.uses for part in parts):
        line = "No sidecar runs with these settings. Servers with an address cannot be reached until one does:"
    else:
        line = (
            "No sidecar runs with these settings. The first wrapped server starts one in the background. To start one yourself:"
        )
    lines = [line, f"  now:            {typed('up', '-c', str(config))}"]
    return lines + ([f"  at every login: {typed('service', 'install', '-c', str(config))}"] if _can_install_service() else [])


def _can_install_service() -> bool:
    try:
        return not service.manager().file.exists()
    except SettingsError:
        return False

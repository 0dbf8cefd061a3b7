"""``sidecar install``: shows what would change, asks on a terminal, writes, and restores the files with ``--undo``.

Exit codes: 0 every server found is behind the sidecar, or was restored; 1 something was left unchanged that a person should
look at (a broken file, a server that cannot be put behind the sidecar, a "no"); 2 cannot run (settings that do not load).
"""

import argparse
import sys
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Final

from sidecar import settings
from sidecar.document import Document
from sidecar.errors import Problem, SettingsError
from sidecar.install import advice, listeners, mask
from sidecar.install.clients import CLIENTS, Client, ConfigFile, find
from sidecar.install.entries import Wrapper
from sidecar.install.executable import own_program
from sidecar.install.files import Backup, BackupFolder, LeftAlone, digest, read, replace, state
from sidecar.install.listeners import ListenerEntry
from sidecar.install.plan import FilePlan, Planner, open_part, parse, take_out, unused

_LEFT: Final = 1


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sidecar install``."""
    keys = [client.key for client in CLIENTS]
    command.add_argument(
        "--client", action="append", choices=keys, metavar="NAME", help=f"only this client; may be repeated: {', '.join(keys)}"
    )
    command.add_argument("--undo", action="store_true", help="restore the configurations as they were without the sidecar")
    command.add_argument("--dry-run", action="store_true", help="show what would change, and write nothing")
    command.add_argument("--yes", action="store_true", help="do not ask before writing (without a terminal nothing is asked)")


def run(args: argparse.Namespace) -> int:
    """Put the sidecar into clients' configurations, or take it out; returns the exit code.

    Raises:
        SettingsError: the settings file does not load, before or after.
    """
    chosen = tuple(client for client in CLIENTS if not args.client or client.key in args.client)
    keep = BackupFolder(state())
    change = _FileChange(Path(args.config).expanduser().absolute(), chosen, keep)
    if args.undo:
        change.plan_undo()
    else:
        change.plan_install()
    return change.carry_out(is_dry=args.dry_run, asks=not args.yes and sys.stdin.isatty() and sys.stdout.isatty())


def wrapper(config: Path) -> Wrapper:
    """How a client starts us: by absolute paths."""
    return Wrapper(own_program(), str(config))


class _FileChange:
    """All files of one run: all are read and planned before the first is written."""

    def __init__(self, config: Path, chosen: tuple[Client, ...], keep: BackupFolder) -> None:
        self._config = config
        self._chosen = chosen
        self._keep = keep
        self._parts: list[FilePlan] = []
        self._left: list[Problem] = []
        self._before: dict[Path, str | None] = {}
        self._after: dict[Path, str | None] = {}
        self._memory: dict[Path, Backup | None] = {}
        self._has_new_listeners = False
        self._advises = False

    def plan_install(self) -> None:
        """Plan that every server found is put behind the sidecar."""
        self._advises = True
        loaded = settings.load(self._config) if self._config.exists() else None
        for found in find(self._chosen, Path.cwd()):
            self._open(found)
        planner = Planner(loaded, self._keep.all(), wrapper(self._config))
        planner.plan(self._parts)
        self._has_new_listeners = bool(planner.new)
        carried = any(entry.argv for part in self._parts for entry in part.entries)
        if planner.new or (loaded is None and carried):
            # Planned first, so that it is written first: no client may call a listener that is not in the settings.
            self._plan_settings(planner.new)
        for part in self._parts:
            if part.edits:
                self._set(part.found.file, part.tree.text, part.text)
                self._memory[part.found.file] = self._remembered(part)

    def _plan_settings(self, new: list[ListenerEntry]) -> None:
        text = read(self._config) if self._config.exists() else None
        after = listeners.add(listeners.new_settings(self._config) if text is None else text, new)
        listeners.verify(self._config, after)
        kept = self._keep.get(self._config)
        added = [*map(asdict, new), *(kept.listeners if kept else [])]
        original = text
        if kept is not None:
            is_same = text is not None and digest(text) == kept.written
            original = kept.original if is_same or text is None else listeners.remove(text, _listeners(kept))
        self._set(self._config, text, after)
        self._memory[self._config] = Backup(str(self._config.resolve()), "", digest(after), original, listeners=added)

    def _remembered(self, part: FilePlan) -> Backup:
        kept, text = part.kept, part.tree.text
        if kept is not None and digest(text) == kept.written:
            original = kept.original
        else:
            clean = FilePlan(part.found, part.tree, part.entries, kept)
            take_out(clean, self._upstreams())
            original = clean.text
        file = str(part.found.file.resolve())
        return Backup(file, part.found.client.key, digest(part.text), original, uses=part.uses)

    def plan_undo(self) -> None:
        """Plan that everything we changed is restored; what others changed since stays."""
        upstreams = self._upstreams()
        keys = {client.key for client in self._chosen}
        rest: list[Collection[str]] = []
        mine = {Path(kept.file): kept for kept in self._keep.all()}
        found = {each.file.resolve(): each for each in find(self._chosen, Path.cwd())}
        for file, kept in mine.items():
            if kept.client and kept.client not in keys:
                rest.append(kept.uses)
            elif kept.client and file not in found:
                self._undo_elsewhere(file, kept, found)
        for each in found.values():
            part = self._open(each)
            if part is None:
                kept_here = mine.get(each.file.resolve())
                rest.append(kept_here.uses if kept_here else ())
                continue
            exact = part.kept is not None and digest(part.tree.text) == part.kept.written
            take_out(part, upstreams)
            after = part.kept.original if exact and part.kept is not None else part.text
            if after != part.tree.text:
                self._set(each.file, part.tree.text, after)
                if not exact:
                    part.notes.append("it was edited since, so only our entries are removed and the rest is kept")
            if part.kept is not None:
                self._memory[each.file] = None
        for file, kept in mine.items():
            if not kept.client:
                self._undo_settings(file, kept, rest)

    def _undo_elsewhere(self, file: Path, kept: Backup, found: dict[Path, ConfigFile]) -> None:
        """A file we changed that is not found from this folder: it belongs to another project, or was deleted."""
        client = next((client for client in CLIENTS if client.key == kept.client), None)
        if client is None or not file.exists():
            self._memory[file] = None
            if client is not None:
                why = "it no longer exists, so there is nothing to restore"
                self._left.append(Problem(str(file), 0, 0, "gone", why, is_warning=True))
            return
        place = next((place for place in client.places if file.match(place.glob)), client.places[-1])
        found[file] = ConfigFile(client, place, file)

    def _undo_settings(self, file: Path, kept: Backup, rest: list[Collection[str]]) -> None:
        added = _listeners(kept)
        gone = unused(added, rest)
        stays = [listener for listener in added if listener not in gone]
        try:
            text = read(file) if file.exists() else None
        except LeftAlone as left:
            self._left.append(left.problem)
            return
        # Wrapped commands name this file, so one that we created is removed with the last of them.
        is_needed = bool(stays) or (bool(rest) and kept.original is None)
        if text is None and not rest:
            self._memory[file] = None
        if text is None or (not gone and is_needed):
            return
        if broken := Document(str(file), text).problems:
            self._left += broken
            return
        clean = kept.original if digest(text) == kept.written else listeners.remove(text, added)
        after = listeners.remove(text, gone) if is_needed else clean
        try:
            if after is not None:
                listeners.verify(file, after)
        except SettingsError:
            why = "it would not load without the listeners we added, so they stay; remove them by hand"
            self._left.append(Problem(str(file), 0, 0, "needed", why, is_warning=True))
            return
        self._set(file, text, after)
        still = Backup(kept.file, "", digest(after or ""), clean, listeners=[asdict(each) for each in stays])
        self._memory[file] = still if is_needed else None

    def _open(self, found: ConfigFile) -> FilePlan | None:
        try:
            part = open_part(found, self._keep.get(found.file))
        except LeftAlone as left:
            self._left.append(left.problem)
            return None
        self._parts.append(part)
        return part

    def _upstreams(self) -> dict[str, str]:
        return {each.address: each.upstream for kept in self._keep.all() for each in _listeners(kept)}

    def _set(self, file: Path, before: str | None, after: str | None) -> None:
        if before != after:
            self._before[file], self._after[file] = before, after

    def carry_out(self, *, is_dry: bool, asks: bool) -> int:
        """Show everything, ask, write; returns the exit code."""
        self._show()
        if self._advises:
            _say_all(advice.without_servers(self._parts))
            _say_all(advice.tied_to_folder(self._config, self._parts))
        left = [*self._left, *(problem for part in self._parts for problem in part.problems)]
        for problem in left:
            sys.stderr.write(f"{problem}\n")
        if not self._after:
            _say("Nothing to change." if self._parts or left else "No MCP client's configuration was found here.")
        elif is_dry:
            _say("Nothing was written (--dry-run).")
        elif asks and not _agreed(len(self._after)):
            _say("Nothing was written.")
            return _LEFT
        if is_dry:
            return _LEFT if left else 0
        is_whole = self._write()
        if self._advises and is_whole:
            _say_all(advice.next_steps(self._config, self._parts, has_new_listeners=self._has_new_listeners))
        return _LEFT if left or not is_whole else 0

    def _show(self) -> None:
        parts = {part.found.file: part for part in self._parts}
        for file, after in self._after.items():
            part = parts.get(file)
            _say(f"{part.found.client.title}: {file}" if part else f"Settings: {file}")
            for line in (*part.done, *part.notes) if part else ():
                _say(f"  {line}")
            _say(mask.diff(self._shown(part, self._before[file]), self._shown(part, after), str(file)))
            _say("")

    def _shown(self, part: FilePlan | None, text: str | None) -> str:
        if text is None:
            return ""
        if part is None:
            return mask.shown_settings(text)
        tree = part.tree if text is part.tree.text else parse(part.found, text)
        return mask.shown_file(tree, part.found.client, part.found.place)

    def _write(self) -> bool:
        """Write in the order of the plan; returns whether all files were written.

        Clients need their listeners: if the settings could not be written no client is changed, and if a client could not
        be restored its listener stays.
        """
        clients = {part.found.file for part in self._parts}
        failed: set[Path] = set()
        for file in self._after:
            if failed and (file not in clients or failed - clients):
                self._memory.pop(file, None)
                continue
            try:
                if (kept := self._memory.get(file)) is not None:
                    self._keep.put(kept)
                replace(file, self._before[file], self._after[file])
            except LeftAlone as left:
                sys.stderr.write(f"{left.problem}\n")
                failed.add(file)
                self._memory.pop(file, None)
            else:
                _say(f"{'written' if self._after[file] is not None else 'removed'}: {file}")
        for file, kept in self._memory.items():
            if kept is None:
                self._keep.drop(file)
        if self._after and not failed:
            _say("Restart the clients, so that they read their new configurations.")
        return not failed


def _listeners(kept: Backup) -> list[ListenerEntry]:
    return [ListenerEntry(**value) for value in kept.listeners]


def _agreed(count: int) -> bool:
    sys.stdout.write(f"Write {'this file' if count == 1 else f'these {count} files'}? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say_all(lines: list[str]) -> None:
    for line in lines:
        _say(line)


def _say(text: str) -> None:
    # Keys of a configuration are untrusted text, and a terminal would execute control characters.
    shown = "".join(each if each.isprintable() or each in "\n\t" else "?" for each in text)
    sys.stdout.write(shown + "\n")

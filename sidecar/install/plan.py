"""What has to change, planned for all files together: names, listeners and ports first, then the edits of each file."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from sidecar.addresses import is_loopback
from sidecar.errors import Problem
from sidecar.install import jsonc, toml
from sidecar.install.clients import ConfigFile
from sidecar.install.entries import ClientEntry, Wrapper, entries, moved, origin, point, unwrap, wrap
from sidecar.install.files import Backup, LeftAlone, read
from sidecar.install.listeners import ListenerEntry, free_ports
from sidecar.install.tree import Edit, Tree, TreeError, apply, line_column
from sidecar.settings import Settings

NAME_CHARS_MAX: Final = 64
_PARSE: Final = {"json": jsonc.parse, "toml": toml.parse}
_OAUTH: Final = "it uses OAuth, which binds tokens to the server's own address; use the sidecar's forward mode"
_SHARED: Final = "this file belongs to a project and may be shared, but the sidecar's path is of this machine"
_DEFAULTS: Final = tuple(Settings.model_fields[name].default for name in ("reader", "page"))
_NO_TOKEN: Final = "if it uses OAuth, undo this and use the sidecar's forward mode"


@dataclass(slots=True)
class FilePlan:
    """One file as read, and its changes. ``done`` says what changes in each entry, ``notes`` what else to know.

    ``uses`` are the listeners it calls by address, with the upstream it would call without us ("" if that is the listener).
    """

    found: ConfigFile
    tree: Tree
    entries: tuple[ClientEntry, ...]
    kept: Backup | None = None
    edits: list[Edit] = field(default_factory=list)
    uses: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The file's text after the edits."""
        return apply(self.tree.text, self.edits)

    def problem(self, entry: ClientEntry, code: str, text: str, *, is_warning: bool = False) -> Problem:
        """A problem of one entry, with its position."""
        place = line_column(self.tree.text, entry.holder.start) if entry.holder.end else (0, 0)
        return Problem(str(self.found.file), *place, code, f"{entry.key}: {text}", is_warning)


def open_part(found: ConfigFile, kept: Backup | None) -> FilePlan:
    """Read and parse one file.

    Raises:
        LeftAlone: it cannot be read or is broken.
    """
    tree = parse(found, read(found.file))
    return FilePlan(found, tree, tuple(entries(tree, found.client, found.place.servers)), kept)


def parse(found: ConfigFile, text: str) -> Tree:
    """The tree of a client's file. An empty one has no servers.

    Raises:
        LeftAlone: it does not parse, or is no object.
    """
    if not text.strip("\ufeff \t\r\n"):
        return Tree(text, jsonc.parse("{}").root)
    try:
        tree = _PARSE[found.client.syntax](text)
    except TreeError as wrong:
        place = line_column(text, wrong.at)
        raise LeftAlone(Problem(str(found.file), *place, "syntax", f"{wrong}; fix it and run this again")) from None
    if tree.root.members is None:
        what = "this is not an object with settings; left unchanged"
        raise LeftAlone(Problem(str(found.file), 1, 1, "shape", what))
    for path in found.place.servers:
        node = tree.root.member(path[0])
        if node is not None and node.members is None and node.scalar is not None:
            place = line_column(text, node.start)
            raise LeftAlone(
                Problem(str(found.file), *place, "shape", f"{path[0]}: expected an object of servers; left unchanged")
            )
    return tree


class Planner:
    """Names and listeners for all entries of all files, stable over runs: what is in use keeps its name and port."""

    def __init__(self, settings: Settings | None, kept: Iterable[Backup], wrapper: Wrapper) -> None:
        self._wrapper = wrapper
        self._owners: dict[str, Any] = {}
        self._by_origin: dict[str, ListenerEntry] = {}
        self._elsewhere: dict[str, str] = {}
        self._stdio_names: set[str] = set()
        self._ports: set[int] = set()
        self._ours: set[int] = set()
        self.new: list[ListenerEntry] = []
        for server in settings.servers if settings else ():
            if not server.upstream:
                self._stdio_names.add(server.name)
                continue
            upstream = origin(server.upstream)
            self._owners[server.name] = upstream
            self._ports.add(_port_of(upstream))
            if server.listen:
                self._ours.add(server.port)
                self._by_origin.setdefault(upstream, ListenerEntry(server.name, server.listen, upstream))
        fields = settings.model_dump().values() if settings else _DEFAULTS
        # What else the settings listen on: every value of the form host:port.
        self._ports |= {int(match[1]) for value in fields if (match := re.search(r":([0-9]{1,5})\Z", str(value)))}
        self._ports |= self._ours
        for each in kept:
            for value in each.listeners:
                listener = ListenerEntry(**value)
                self._elsewhere[listener.address] = listener.upstream
                self._ports.add(_port_of(listener.address))

    def plan(self, parts: Sequence[FilePlan]) -> None:
        """Fill the parts' edits, and ``new`` with the listeners to add."""
        every = [(part, entry) for part in parts for entry in part.entries]
        for _, entry in every:
            if entry.own:
                self._owners.setdefault(entry.name, entry.argv)
            # A port that a client calls belongs to some server, running now or not.
            self._ports |= {_port_of(url) for url in entry.urls if not entry.fault and _is_here(url)}
        ports = iter(free_ports(self._ports))
        for part, entry in every:
            if entry.fault:
                code = "not-carried"
                part.problems.append(part.problem(entry, code, f"{entry.fault}; it is left unchanged", is_warning=True))
            elif entry.argv:
                self._stdio(part, entry)
            elif entry.has_oauth:
                part.problems.append(part.problem(entry, "oauth", f"{_OAUTH}; it is left unchanged", is_warning=True))
            else:
                self._http(part, entry, ports)
        for part in parts:
            if part.edits and part.found.place.base == "project":
                part.notes.append(_SHARED)

    def _stdio(self, part: FilePlan, entry: ClientEntry) -> None:
        name = entry.name if entry.own else self._name(entry.key, entry.argv, part.found.client.key)
        edits = wrap(part.tree, part.found.client.syntax, entry, self._wrapper.words(name, entry.argv[0]))
        part.edits += edits
        if edits:
            part.done.append(f"{entry.key}: its command is started through the sidecar, as server {name}")

    def _http(self, part: FilePlan, entry: ClientEntry, ports: Iterable[int]) -> None:
        urls = []
        for url in entry.urls:
            here = _is_here(url) and _port_of(url) in self._ours
            if here:
                part.uses.setdefault(origin(url), part.kept.uses.get(origin(url), "") if part.kept else "")
                urls.append(url)
                continue
            upstream = self._elsewhere.get(origin(url), origin(url))
            listener = self._listener(upstream, entry.key, part.found.client.key, ports)
            part.uses[listener.address] = upstream
            urls.append(moved(url, listener.address))
            part.done.append(f"{entry.key}: calls {listener.address}, and the sidecar calls {upstream}")
            if not entry.has_headers and not _is_here(upstream):
                part.notes.append(f"{entry.key}: {_NO_TOKEN}")
        part.edits += point(part.tree, entry, tuple(urls))

    def _listener(self, upstream: str, key: str, client: str, ports: Iterable[int]) -> ListenerEntry:
        if upstream not in self._by_origin:
            port = next(iter(ports))
            listener = ListenerEntry(self._name(key, upstream, client), f"127.0.0.1:{port}", upstream)
            self._by_origin[upstream] = listener
            self.new.append(listener)
        return self._by_origin[upstream]

    def _name(self, key: str, owner: Any, client: str) -> str:
        """The client's own name for it, in the characters allowed for names; another one if that name is taken."""
        clean = re.sub(r"[^A-Za-z0-9_.-]+", "-", key).strip("-.")[: NAME_CHARS_MAX - 20]
        clean = clean if any(each.isalnum() for each in clean) else "server"
        number = 1
        name = clean
        # A server that the settings name without an address is one over stdio, so a command may have that name.
        while (name in self._stdio_names and isinstance(owner, str)) or self._owners.setdefault(name, owner) != owner:
            name = f"{clean}-{client}" if number == 1 else f"{clean}-{client}-{number}"
            number += 1
        return name


def _is_here(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def take_out(part: FilePlan, upstreams: Mapping[str, str]) -> None:
    """Fill a part's edits with those that remove the sidecar; ``upstreams`` maps a listener's address to its server's.

    If the file as it was without us has the entry too, its address is restored as it was written there.
    """
    upstreams = {**upstreams, **({address: each for address, each in part.kept.uses.items() if each} if part.kept else {})}
    was: dict[tuple[str, ...], ClientEntry] = {}
    if part.kept is not None and part.kept.original is not None:
        before = parse(part.found, part.kept.original)
        was = {entry.path: entry for entry in entries(before, part.found.client, part.found.place.servers)}
    for entry in part.entries:
        old = was.get(entry.path)
        if entry.own:
            had_args = old is None or old.holder.member("args") is not None
            part.edits += unwrap(part.tree, entry, had_args)
            part.done.append(f"{entry.key}: its own command is restored")
        elif entry.urls and not entry.fault:
            urls = tuple(_own_url(url, old, at, upstreams) for at, url in enumerate(entry.urls))
            part.edits += point(part.tree, entry, urls)
            if urls != entry.urls:
                part.done.append(f"{entry.key}: its own address is restored")


def _own_url(url: str, old: ClientEntry | None, at: int, upstreams: Mapping[str, str]) -> str:
    if not _is_here(url) or origin(url) not in upstreams:
        return url
    upstream = upstreams[origin(url)]
    if old is not None and url in old.urls:
        # It was written so before.
        return url
    was = old.urls[at] if old is not None and not old.fault and at < len(old.urls) else ""
    if was and origin(was) == upstream and moved(was, origin(url)) == url:
        return was
    return moved(url, upstream)


def unused(added: Collection[ListenerEntry], parts: Iterable[Collection[str]]) -> list[ListenerEntry]:
    """The listeners we added that no client calls any more."""
    used = {address for uses in parts for address in uses}
    return [listener for listener in added if listener.address not in used]

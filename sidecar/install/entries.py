"""One server in a client's configuration: its own command or address, and the edits that add and remove the sidecar.

A command is wrapped in place: its own words move, as they are written, behind ours in the arguments, so comments and layout
inside the arguments stay. Of an address only its origin is replaced. ``env`` and headers are never changed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final
from urllib.parse import urlsplit

from sidecar.install import jsonc, toml
from sidecar.install.clients import Client, Syntax
from sidecar.install.tree import Edit, Node, Tree
from sidecar.wrap import options

_ORIGIN: Final = re.compile(r"(?P<scheme>https?)://(?P<user>[^/?#@]*@)?(?P<host>[^/?#]*)", re.IGNORECASE)
_PLACEHOLDER: Final = re.compile(r"[$%{}<>]")
_OAUTH: Final = ("oauth", "auth", "authProviderType", "oauth_resource", "scopes")
_SIBLING: Final = {"json": jsonc.sibling, "toml": toml.sibling}


@dataclass(frozen=True, slots=True)
class Wrapper:
    """How the sidecar is started in place of a command: the program with its first arguments, and the settings file."""

    program: tuple[str, ...]
    config: str

    def words(self, name: str, command: str) -> tuple[str, ...]:
        """The words that come before the wrapped ``command``.

        No ``--`` among them: the command-line mode of MCP Inspector up to 1.x, which parses a server's arguments once more,
        takes what follows ``--`` for its own target and finds no ``--method`` (inspector-cli 1.0.3, ``parseArgs``).
        """
        separator = ("--",) if command.startswith("-") else ()
        return (*self.program, "wrap", "--server", name, "-c", self.config, *separator)


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """One server of one file. ``path`` are its keys; ``argv`` is its own command, ``urls`` its addresses as written.

    ``own`` counts the words that are ours (0: not wrapped), and ``name`` is the server's name in them.
    ``fault`` says why it cannot be put behind the sidecar; it is then left unchanged.
    """

    path: tuple[str, ...]
    holder: Node
    argv: tuple[str, ...] = ()
    own: int = 0
    name: str = ""
    urls: tuple[str, ...] = ()
    url_keys: tuple[str, ...] = ()
    command_key: str = "command"
    has_oauth: bool = False
    has_headers: bool = False
    fault: str = ""

    @property
    def key(self) -> str:
        """What the client calls it."""
        return self.path[-1]


def entries(tree: Tree, client: Client, paths: tuple[tuple[str, ...], ...]) -> Iterator[ClientEntry]:
    """The servers that stand at ``paths`` (``*`` is any key) of a client's file."""
    for path in paths:
        for found, servers in _at(tree.root, path, ()):
            for key, member in (servers.members or {}).items():
                yield _entry((*found, key), member.node, client)


def _at(node: Node, path: tuple[str, ...], done: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    if not path:
        yield done, node
        return
    members = node.members or {}
    for key in list(members) if path[0] == "*" else [path[0]] if path[0] in members else []:
        yield from _at(members[key].node, path[1:], (*done, key))


def _entry(path: tuple[str, ...], node: Node, client: Client) -> ClientEntry:
    if node.members is None:
        return ClientEntry(path, node, fault="it is not an object")
    command = node.member("command")
    if command is not None and command.members is not None:
        # Zed's older form: the object below `command` has path and args.
        return _stdio(path, command, "path")
    if command is not None:
        return _stdio(path, node, "command")
    keys = tuple(key for key in client.urls if key in node.members)
    if keys:
        return _http(path, node, keys)
    return ClientEntry(path, node, fault="it has neither a command nor an address of a known form")


def _stdio(path: tuple[str, ...], holder: Node, key: str) -> ClientEntry:
    command, args = holder.member(key), holder.member("args")
    words = args.plain() if args is not None else []
    if command is None or not isinstance(command.scalar, str) or not command.scalar:
        return ClientEntry(path, holder, fault="its command is not a text")
    if (args is not None and args.items is None) or not all(isinstance(word, str) for word in words):
        return ClientEntry(path, holder, fault="its args are not a list of texts")
    own, name = unwrapped([command.scalar, *words])
    argv = tuple(words[own - 1 :]) if own else (command.scalar, *words)
    return ClientEntry(path, holder, argv=argv, own=own, name=name, command_key=key)


def unwrapped(argv: list[str]) -> tuple[int, str]:
    """How many words of a command are ours, and the server's name among them; ``(0, "")`` when it is not wrapped.

    Recognised by shape, wherever the sidecar is installed: ``sidecar wrap --server NAME … CMD``, with or without ``--`` before
    the command, or Python with ``-m sidecar`` in place of the first word.
    """
    start = 1 if PurePath(argv[0]).name == "sidecar" else 0
    if not start and PurePath(argv[0]).name.startswith("python"):
        start = next((at + 2 for at in range(1, len(argv) - 1) if argv[at : at + 2] == ["-m", "sidecar"]), 0)
        if not all(word.startswith("-") for word in argv[1 : max(1, start - 2)]):
            return 0, ""
    if not start or argv[start : start + 1] != ["wrap"]:
        return 0, ""
    try:
        found, count = options.split(argv[start + 1 :])
    except options.UsageError:
        return 0, ""
    own, name = start + 1 + count, found.get("server", "")
    return (own, name) if name and own < len(argv) else (0, "")


def _http(path: tuple[str, ...], node: Node, keys: tuple[str, ...]) -> ClientEntry:
    assert node.members is not None
    urls = tuple(value if isinstance(value := node.members[key].node.scalar, str) else "" for key in keys)
    oauth = any(node.members[key].node.plain() not in (False, None, "") for key in _OAUTH if key in node.members)
    headers = any("header" in key.lower() or "bearer" in key.lower() for key in node.members)
    fault = next((fault for url in urls if (fault := _fault(url))), "")
    return ClientEntry(path, node, urls=urls, url_keys=keys, has_oauth=oauth, has_headers=headers, fault=fault)


def _fault(url: str) -> str:
    match = _ORIGIN.match(url)
    if match is None:
        return "its address is not an http(s) one"
    if _PLACEHOLDER.search(match[0]):
        return "the host in its address is a variable that only the client knows"
    try:
        parts = urlsplit(match[0])
        return "" if parts.hostname and (parts.port is None or parts.port > 0) else "its address names no host"
    except ValueError:
        return "its address names no host"


def origin(url: str) -> str:
    """Scheme, host and port, normalised and without a login: the form of ``upstream`` in the settings."""
    parts = urlsplit(_ORIGIN.match(url)[0])  # type: ignore[index]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")


def moved(url: str, to: str) -> str:
    """``url`` with scheme, host and port of ``to``; a login in it stays, because the client sends it."""
    match = _ORIGIN.match(url)
    scheme, _, host = to.partition("://")
    return f"{scheme}://{match['user'] or ''}{host}{url[match.end() :]}" if match else url


def wrap(tree: Tree, syntax: Syntax, entry: ClientEntry, words: tuple[str, ...]) -> list[Edit]:
    """The edits that put ``words`` before the entry's own command; none if they are there already."""
    members = entry.holder.members or {}
    command = members[entry.command_key]
    args = entry.holder.member("args")
    if entry.own and args is not None and args.items:
        ours = [item.scalar for item in args.items[: entry.own - 1]]
        if (command.node.scalar, *ours) == words:
            return []
        span = (args.items[0].start, args.items[entry.own - 2].end)
        return [_replace(command.node, words[0]), Edit(*span, ", ".join(map(jsonc.dump, words[1:])))]
    line = ", ".join([*map(jsonc.dump, words[1:]), tree.lexeme(command.node)])
    if args is None:
        end = command.node.end
        added = Edit(end, end, f"{_SIBLING[syntax](tree, command, 'args')}[{line}]")
    elif args.items:
        start = args.items[0].start
        space = tree.text[:start][len(tree.text[:start].rstrip(" \t\r\n")) :]
        added = Edit(start, start, f"{line},{space if '\n' in space else ' '}")
    else:
        added = Edit(args.start + 1, args.start + 1, line)
    return [_replace(command.node, words[0]), added]


def unwrap(tree: Tree, entry: ClientEntry, had_args: bool) -> list[Edit]:
    """The edits that restore a wrapped entry's own command; ``had_args`` is false where we added its ``args``."""
    command = (entry.holder.members or {})[entry.command_key]
    args = entry.holder.member("args")
    if not entry.own or args is None or not args.items:
        return []
    first, last = args.items[0], args.items[entry.own - 1]
    edits = [Edit(command.node.start, command.node.end, tree.lexeme(last))]
    between = tree.text[command.node.end : args.start]
    if len(args.items) > entry.own:
        return [*edits, Edit(first.start, args.items[entry.own].start, "")]
    if not had_args and re.fullmatch(r"[\s,]*[\w.\"' ]*args[\"']?\s*[:=]\s*", between):
        return [*edits, Edit(command.node.end, args.end, "")]
    return [*edits, Edit(first.start, args.tail, "")]


def point(tree: Tree, entry: ClientEntry, urls: tuple[str, ...]) -> list[Edit]:
    """The edits that set the entry's addresses to ``urls``."""
    members = entry.holder.members or {}
    edits = []
    for key, old, new in zip(entry.url_keys, entry.urls, urls, strict=True):
        if old != new:
            edits.append(_replace(members[key].node, new, tree))
    return edits


def _replace(node: Node, text: str, tree: Tree | None = None) -> Edit:
    """The edit that sets a value; a TOML literal string keeps its single quotes if the new text allows it."""
    if tree is not None and (lexeme := tree.lexeme(node)).startswith("'") and lexeme == f"'{node.scalar}'" and "'" not in text:
        return Edit(node.start, node.end, f"'{text}'")
    return Edit(node.start, node.end, jsonc.dump(text))

"""TOML parsed into nodes with their spans, checked against ``tomllib``: where the two differ the file is left unchanged.

TOML 1.0, https://toml.io/en/v1.0.0. The scanner only sees text that ``tomllib`` accepted, so it does not validate.
"""

import re
import tomllib
from typing import Any, Final

from sidecar.install.tree import Member, Node, Tree, TreeError

_STRING: Final = re.compile(
    r"""
    \"{3} (?: [^\\] | \\[\s\S] )*? \"{3,5} (?!\")
    | '{3} [\s\S]*? '{3,5} (?!')
    | \" (?: [^\"\\\n] | \\. )* \"
    | ' [^'\n]* '
    """,
    re.VERBOSE,
)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN: Final = re.compile(r"[^,\]}#\r\n]+")
# These two also match the empty string, so a match is never None.
_BLANK: Final = re.compile(r"[ \t]*")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_PLACE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")


def parse(text: str) -> Tree:
    """The tree of a TOML text.

    Raises:
        TreeError: it is not TOML, or its spans are not certain.
    """
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        raise TreeError(_offset(text, place), "this is not TOML") from None
    except RecursionError:
        raise TreeError(0, "this is nested too deeply") from None
    reader = _TomlReader(text)
    try:
        reader.run()
    except (IndexError, AttributeError, tomllib.TOMLDecodeError):
        raise TreeError(0, "this TOML is written in a way that cannot be edited safely") from None
    if _shape(reader.root.plain()) != _shape(value):
        raise TreeError(0, "this TOML is written in a way that cannot be edited safely")
    return Tree(text, reader.root, reader.comments)


def sibling(tree: Tree, member: Member, key: str) -> str:
    """The text between ``member`` and the value of a new member after it, in the style of its surroundings."""
    prefix = tree.text[member.start : member.leaf]
    if not member.is_line:
        return f", {prefix}{key} = "
    start = tree.text.rfind("\n", 0, member.start) + 1
    indent = tree.text[start : member.start]
    return f"{'\r\n' if '\r\n' in tree.text else '\n'}{indent}{prefix}{key} = "


def _shape(value: Any) -> Any:
    """A form that can be compared, because NaN is not equal to itself."""
    return repr(value)


def _offset(text: str, place: re.Match[str] | None) -> int:
    if place is None:
        return len(text)
    # tomllib counts after turning CRLF into LF, which changes neither lines nor columns.
    lines = text.split("\n")
    return min(len(text), sum(len(line) + 1 for line in lines[: int(place[1]) - 1]) + int(place[2]) - 1)


class _TomlReader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.comments: list[tuple[int, int]] = []
        self.root = Node(members={})

    def run(self) -> None:
        table = self.root
        at = self._skip(0)
        while at < len(self.text):
            if self.text.startswith("[[", at):
                path, at = self._keys(at + 2)
                table = self._append(path)
                at += 2
            elif self.text[at] == "[":
                path, at = self._keys(at + 1)
                table = self._enter(self.root, [key for key, _ in path])
                at += 1
            else:
                at = self._pair(table, at, is_line=True)
            at = self._skip(at)

    def _skip(self, at: int) -> int:
        while True:
            at = _SPACE.match(self.text, at).end()  # type: ignore[union-attr]
            if self.text[at : at + 1] != "#":
                return at
            end = self.text.find("\n", at)
            end = len(self.text) if end < 0 else end - (self.text[end - 1] == "\r")
            self.comments.append((at, end))
            at = end

    def _keys(self, at: int) -> tuple[list[tuple[str, int]], int]:
        """A dotted key: its parts with their offsets, and the offset of what follows."""
        parts: list[tuple[str, int]] = []
        while True:
            at = _BLANK.match(self.text, at).end()  # type: ignore[union-attr]
            if self.text[at] in "\"'":
                match = _STRING.match(self.text, at)
                parts.append((_value(match[0]), at))  # type: ignore[index]
            else:
                match = _BARE.match(self.text, at)
                parts.append((match[0], at))  # type: ignore[index]
            at = _BLANK.match(self.text, match.end()).end()  # type: ignore[union-attr]
            if self.text[at] != ".":
                return parts, at
            at += 1

    def _pair(self, table: Node, at: int, *, is_line: bool) -> int:
        path, equals = self._keys(at)
        start = _BLANK.match(self.text, equals + 1).end()  # type: ignore[union-attr]
        node, end = self._any(start)
        owner = self._enter(table, [key for key, _ in path[:-1]])
        key, leaf = path[-1]
        owner.members[key] = Member(at, leaf, node, is_line)  # type: ignore[index]
        return end

    def _enter(self, table: Node, path: list[str]) -> Node:
        for key in path:
            members = table.members
            assert members is not None
            if key not in members:
                members[key] = Member(0, 0, Node(members={}))
            table = members[key].node
            if table.items:
                table = table.items[-1]
        return table

    def _append(self, path: list[tuple[str, int]]) -> Node:
        owner = self._enter(self.root, [key for key, _ in path[:-1]])
        members = owner.members
        assert members is not None
        array = members.setdefault(path[-1][0], Member(0, 0, Node(items=[]))).node
        array.items.append(Node(members={}))  # type: ignore[union-attr]
        return array.items[-1]  # type: ignore[index]

    def _any(self, at: int) -> tuple[Node, int]:
        if self.text[at] == "[":
            return self._array(at)
        if self.text[at] == "{":
            return self._inline(at)
        if self.text[at] in "\"'":
            end = _STRING.match(self.text, at).end()  # type: ignore[union-attr]
        else:
            found = _PLAIN.match(self.text, at)[0]  # type: ignore[index]
            end = at + len(found.rstrip())
        return Node(at, end, _value(self.text[at:end])), end

    def _array(self, start: int) -> tuple[Node, int]:
        items: list[Node] = []
        tail = start + 1
        at = self._skip(start + 1)
        while self.text[at] != "]":
            node, tail = self._any(at)
            items.append(node)
            at = self._skip(tail)
            if self.text[at] == ",":
                tail = at + 1
                at = self._skip(tail)
        return Node(start, at + 1, items=items, tail=tail), at + 1

    def _inline(self, start: int) -> tuple[Node, int]:
        node = Node(start, members={})
        at = self._skip(start + 1)
        while self.text[at] != "}":
            at = self._skip(self._pair(node, at, is_line=False))
            if self.text[at] == ",":
                at = self._skip(at + 1)
        node.end = at + 1
        return node, at + 1


def _value(lexeme: str) -> Any:
    return tomllib.loads(f"v = {lexeme}")["v"]

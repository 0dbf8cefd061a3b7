"""A configuration as a tree in which every value has its span in the text, so that edits change only those characters."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Keys = tuple[str | int, ...]


@dataclass(slots=True)
class Node:
    """A value at ``text[start:end]``. ``members`` are an object's, ``items`` an array's; ``scalar`` is any other's value.

    ``tail`` is where an array's last item ends, its trailing comma included. A TOML table made by headers has no span.
    """

    start: int = 0
    end: int = 0
    scalar: Any = None
    members: "dict[str, Member] | None" = None
    items: "list[Node] | None" = None
    tail: int = 0

    def plain(self) -> Any:
        """The value without spans."""
        if self.members is not None:
            return {key: member.node.plain() for key, member in self.members.items()}
        return [item.plain() for item in self.items] if self.items is not None else self.scalar

    def member(self, key: str) -> "Node | None":
        """The value of one member of an object; None if this is no object or has no such member."""
        found = self.members.get(key) if self.members is not None else None
        return found.node if found else None


@dataclass(slots=True)
class Member:
    """One ``key: value``. ``start`` is the offset of the key (of a dotted TOML key the first part; ``leaf`` the last)."""

    start: int
    leaf: int
    node: Node
    is_line: bool = False
    """Whether it is a line of its own in a TOML table, not part of an inline table."""


@dataclass(slots=True)
class Tree:
    """A parsed text: its root, and the spans of its comments."""

    text: str
    root: Node
    comments: list[tuple[int, int]] = field(default_factory=list)

    def lexeme(self, node: Node) -> str:
        """The characters of a value, as written."""
        return self.text[node.start : node.end]


class TreeError(Exception):
    """The text does not parse; ``at`` is the offset, and the message never quotes the text, which may hold secrets."""

    def __init__(self, at: int, text: str) -> None:
        self.at = at
        super().__init__(text)


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Put ``text`` in place of the characters from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text after edits that do not overlap."""
    parts, at = [], 0
    for edit in sorted(edits):
        assert edit.start >= at, "edits overlap"
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def leaves(node: Node, keys: Keys = ()) -> Iterator[tuple[Keys, Node]]:
    """Every value that is neither object nor array, with the keys that lead to it."""
    if node.members is not None:
        for key, member in node.members.items():
            yield from leaves(member.node, (*keys, key))
    elif node.items is not None:
        for index, item in enumerate(node.items):
            yield from leaves(item, (*keys, index))
    else:
        yield keys, node


def line_column(text: str, at: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)

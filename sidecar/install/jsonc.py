"""JSON as editors write it, with comments and trailing commas, read into spans.

Strict JSON is a part of it. VS Code and Zed read comments and trailing commas; for the others we read more than they do,
which harms nobody: what they cannot read is not made better or worse.
"""

import json
import re
from typing import Final

from sidecar.install.tree import Member, Node, Tree, TreeError
from sidecar.limits import JSON_DEPTH_MAX

_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
# It matches everywhere, be it nothing, so a match of it is never None.
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def parse(text: str) -> Tree:
    """The tree of a JSON text.

    Raises:
        Wrong: it is not JSON, even with comments and trailing commas.
    """
    reader = _JsoncReader(text)
    at = reader.skip(1 if text.startswith("\ufeff") else 0)
    root, at = reader.value(at, 0)
    at = reader.skip(at)
    if at != len(text):
        raise TreeError(at, "something follows the end of the JSON value")
    return Tree(text, root, reader.comments)


def sibling(tree: Tree, member: Member, key: str) -> str:
    """What stands between the end of ``member`` and the value of a new member right after it, in the style of the place."""
    before = tree.text[: member.start]
    space = before[len(before.rstrip(" \t\r\n")) :]
    return f",{space if '\n' in space else ' '}{dump(key)}: "


def dump(text: str) -> str:
    """A string as JSON (and as a basic string of TOML, which wants DEL escaped)."""
    # Half of a pair, which JSON can write as an escape, has no UTF-8 of its own.
    is_whole = not any("\ud800" <= each <= "\udfff" for each in text)
    return json.dumps(text, ensure_ascii=not is_whole).replace("\x7f", "\\u007f")


class _JsoncReader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.comments: list[tuple[int, int]] = []

    def skip(self, at: int) -> int:
        """The next place that is neither space nor comment."""
        while True:
            at = _SPACE.match(self.text, at).end()  # type: ignore[union-attr]
            opening = self.text[at : at + 2]
            if opening == "//":
                end = self.text.find("\n", at)
                end = len(self.text) if end < 0 else end - (self.text[end - 1] == "\r")
            elif opening == "/*":
                end = self.text.find("*/", at + 2) + 2
                if end < 2:
                    raise TreeError(at, "this comment has no end")
            else:
                return at
            self.comments.append((at, end))
            at = end

    def value(self, at: int, depth: int) -> tuple[Node, int]:
        if depth > JSON_DEPTH_MAX:
            raise TreeError(at, f"nested over {JSON_DEPTH_MAX} deep")
        opening = self.text[at : at + 1]
        if opening == "{":
            return self._object(at, depth)
        if opening == "[":
            return self._array(at, depth)
        match = (_STRING if opening == '"' else _PLAIN).match(self.text, at)
        if match is None:
            raise TreeError(at, "a JSON value was expected here" if opening else "the text ends too early")
        return Node(at, match.end(), json.loads(match[0])), match.end()

    def _object(self, start: int, depth: int) -> tuple[Node, int]:
        members: dict[str, Member] = {}
        at = self.skip(start + 1)
        while self.text[at : at + 1] != "}":
            match = _STRING.match(self.text, at)
            if match is None:
                raise TreeError(at, "a key in double quotes, or '}', was expected here")
            colon = self.skip(match.end())
            if self.text[colon : colon + 1] != ":":
                raise TreeError(colon, "':' was expected here")
            node, end = self.value(self.skip(colon + 1), depth + 1)
            key = json.loads(match[0])
            # The last of equal keys wins, as in the clients' own parsers.
            members[key] = Member(at, at, node)
            at, _ = self._next(end, "}")
        return Node(start, at + 1, members=members), at + 1

    def _array(self, start: int, depth: int) -> tuple[Node, int]:
        items: list[Node] = []
        at = self.skip(start + 1)
        tail = start + 1
        while self.text[at : at + 1] != "]":
            node, end = self.value(at, depth + 1)
            items.append(node)
            at, tail = self._next(end, "]")
        return Node(start, at + 1, items=items, tail=tail), at + 1

    def _next(self, end: int, closing: str) -> tuple[int, int]:
        """What follows a value that ends at ``end``: where to go on, and the value's end with its comma."""
        at = self.skip(end)
        if self.text[at : at + 1] == ",":
            return self.skip(at + 1), at + 1
        if self.text[at : at + 1] != closing:
            raise TreeError(at, f"',' or '{closing}' was expected here")
        return at, end

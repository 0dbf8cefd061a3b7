"""JSON with comments and trailing commas, as editors accept it, parsed into nodes with their spans.

Strict JSON is a subset. VS Code and Zed accept comments and trailing commas; other clients do not, but reading more than
they do is harmless, because edits neither add nor remove such parts.
"""

import json
import re
from typing import Final

from sidecar.install.tree import Member, Node, Tree, TreeError
from sidecar.limits import JSON_DEPTH_MAX

_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
# It also matches the empty string, so a match is never None.
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def parse(text: str) -> Tree:
    """The tree of a JSON text.

    Raises:
        TreeError: it is not JSON, even with comments and trailing commas.
    """
    reader = _JsoncReader(text)
    at = reader.skip(1 if text.startswith("\ufeff") else 0)
    root, at = reader.value(at, 0)
    at = reader.skip(at)
    if at != len(text):
        raise TreeError(at, "something follows the end of the JSON value")
    return Tree(text, root, reader.comments)


def sibling(tree: Tree, member: Member, key: str) -> str:
    """The text between ``member`` and the value of a new member after it, in the style of its surroundings."""
    before = tree.text[: member.start]
    space = before[len(before.rstrip(" \t\r\n")) :]
    return f",{space if '\n' in space else ' '}{dump(key)}: "


def dump(text: str) -> str:
    """A string as JSON (and as a basic string of TOML, which wants DEL escaped)."""
    # A lone surrogate, which JSON can write as an escape, cannot be encoded in UTF-8.
    is_whole = not any("\ud800" <= each <= "\udfff" for each in text)
    return json.dumps(text, ensure_ascii=not is_whole).replace("\x7f", "\\u007f")


class _JsoncReader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.comments: list[tuple[int, int]] = []

    def skip(self, at: int) -> int:
        """The next offset that is neither white space nor in a comment."""
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
            # Of equal keys the last one wins, as in the clients' own parsers.
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
        """The offset to go on at after a value that ends at ``end``, and the value's end with its comma."""
        at = self.skip(end)
        if self.text[at : at + 1] == ",":
            return self.skip(at + 1), at + 1
        if self.text[at : at + 1] != closing:
            raise TreeError(at, f"',' or '{closing}' was expected here")
        return at, end

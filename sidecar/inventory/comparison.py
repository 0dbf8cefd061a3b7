"""Definitions of tools and prompts: the members that count, the digest, differences, and names that look the same."""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar import limits
from sidecar.events import Definition, Path, path_text
from sidecar.inventory.hidden_text import show_invisible
from sidecar.methods import METHODS

_DEFINED: Final = {"tools": "tool", "prompts": "prompt"}
"""The lists whose entries are definitions that are remembered, and what one entry is."""

LISTED: Final[Mapping[str, tuple[str, str]]] = {
    method.name: (method.lists, _DEFINED[method.lists]) for method in METHODS.values() if method.lists in _DEFINED
}
"""The lists that hold definitions: the key of the entries, and the kind of one entry."""

CALLED: Final[Mapping[str, str]] = {
    method.name: _DEFINED[method.member_of] for method in METHODS.values() if method.member_of in _DEFINED
}
"""The requests that use what a definition defines."""

NOT_COUNTED: Final = frozenset({"_meta", "icons"})
_SETS: Final = frozenset({"required"})
_EXCERPT_CHARS: Final = 160
_AROUND_CHARS: Final = 24

# ruff: noqa: RUF001 - letters that look alike are what the table below is about
_ALIKE: Final = str.maketrans(
    "аеорсухіјѕԁһԛԝкмнтвгոսօցհαεορτυνικχγβ0135ⅼ|",
    "aeopcyxijsdhqwkmhtbrnuoghaeoptuvikxybolesll",
)
"""Cyrillic, Greek and Armenian small letters, and digits, by the Latin letter they are read as (Unicode UTS #39)."""


class TooDeep(ValueError):
    """A definition is nested deeper than ``JSON_DEPTH_MAX``."""


def select_counted(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a definition that count: every one but ``_meta``, ``icons`` and those that are null.

    ``_meta`` is for programs and may differ every time, icons are pictures for people; neither reaches the model. A number
    counts by its value (``1.0`` is ``1``), ``required`` of a schema as the set it is. All else counts as it stands, also an
    extra blank and the order of a list; the order of keys does not.

    Raises:
        TooDeep: it is nested deeper than ``JSON_DEPTH_MAX``.
    """
    members = {key: value for key, value in entry.items() if key not in NOT_COUNTED and value is not None}
    return {key: _normalise(value, key, 1) for key, value in members.items()}


def _normalise(value: Any, key: str, depth: int) -> Any:
    if depth > limits.JSON_DEPTH_MAX:
        raise TooDeep("nested too deeply")
    kind = type(value)
    if kind is dict:
        return {name: _normalise(member, name, depth + 1) for name, member in value.items()}
    if kind is list:
        members = [_normalise(member, "", depth + 1) for member in value]
        return sorted(members) if key in _SETS and all(type(member) is str for member in members) else members
    if kind is float:
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return value


def to_canonical(value: Any) -> str:
    """What ``select_counted`` gave as canonical JSON: keys in order, no blanks, ASCII only (after RFC 8785)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest_of(text: str) -> str:
    """The digest of a definition, from the text that ``to_canonical`` gave: SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class DefinitionChange:
    """One difference: where it is (``$.inputSchema.properties.to``), and both sides as people can read them; empty: absent."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.path} is new: {self.after}"
        return f"{self.path}: {self.before} → {self.after}" if self.after else f"{self.path} is gone: {self.before}"


def differences(before: Any, after: Any) -> tuple[DefinitionChange, ...]:
    """How two results of ``select_counted`` differ, in order of paths; at most ``DEFINITION_CHANGES_MAX`` differences.

    Long texts are cut to where they differ; invisible characters stand as their code points (``<U+200B>``).
    """
    found: list[DefinitionChange] = []
    rest = 0
    for path, left, right in _compare(before, after, ()):
        if len(found) < limits.DEFINITION_CHANGES_MAX:
            found.append(DefinitionChange(path_text(path), *_sides(left, right)))
        else:
            rest += 1
    if rest:
        found.append(DefinitionChange("$", "", f"{rest} more differences"))
    return tuple(found)


_ABSENT: Final = object()


def _compare(left: Any, right: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if type(left) is dict and type(right) is dict:
        for key in sorted(left.keys() | right.keys()):
            yield from _compare(left.get(key, _ABSENT), right.get(key, _ABSENT), (*path, key))
    elif type(left) is list and type(right) is list:
        for index in range(max(len(left), len(right))):
            before, after = (side[index] if index < len(side) else _ABSENT for side in (left, right))
            yield from _compare(before, after, (*path, index))
    elif type(left) is not type(right) or left != right:
        yield path, left, right


def _sides(left: Any, right: Any) -> tuple[str, str]:
    if not isinstance(left, str) or not isinstance(right, str):
        return _shown(left), _shown(right)
    same = 0
    while same < min(len(left), len(right)) and left[same] == right[same]:
        same += 1
    tail = 0
    while tail < min(len(left), len(right)) - same and left[-1 - tail] == right[-1 - tail]:
        tail += 1
    start, end = max(0, same - _AROUND_CHARS), max(0, tail - _AROUND_CHARS)
    return _excerpt(left, start, end), _excerpt(right, start, end)


def _excerpt(text: str, start: int, end: int) -> str:
    cut = text[start : len(text) - end]
    return json.dumps(("…" if start else "") + _short(show_invisible(cut)) + ("…" if end else ""), ensure_ascii=False)


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return ""
    return (
        json.dumps(_short(show_invisible(value)), ensure_ascii=False) if isinstance(value, str) else _short(to_canonical(value))
    )


def _short(text: str) -> str:
    return text if len(text) <= _EXCERPT_CHARS else f"{text[:_EXCERPT_CHARS]}… ({len(text) - _EXCERPT_CHARS} more)"


def skeleton(name: str) -> str:
    """What names share that people and models take for the same (the skeleton of UTS #39): case, ``_-.`` and look-alikes
    make no difference."""
    folded = unicodedata.normalize("NFKD", name).casefold().translate(_ALIKE)
    plain = "".join(each for each in folded if each.isalnum())
    return plain or name


SIGNS: Final = ("changed", "new", "hidden-text", "shadows")
UNREAD: Final = Definition(unknown=frozenset({*SIGNS, "expr"}))
"""A definition about which nothing is known."""


def build_definition(
    digest: str, previous: str, entry: Mapping[str, Any] | None, signs: Mapping[str, str], unknown: set[str]
) -> Definition:
    """A definition as policies see it; ``entry`` is the tool as it is listed, None when it is no longer known."""
    entry = entry or {}
    claims = entry.get("annotations")
    claims = claims if isinstance(claims, dict) else {}
    description = entry.get("description")
    return Definition(
        digest=digest,
        previous_digest=previous,
        description=description if isinstance(description, str) else "",
        read_only=claims.get("readOnlyHint") is True,
        destructive=claims.get("destructiveHint") is True,
        signs=signs,
        unknown=frozenset(unknown),
    )

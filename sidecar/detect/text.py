"""The texts in a parsed message: collected in one pass for the scan; paths are made only where something was found."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any, Final

from sidecar.events import Leaf, Path
from sidecar.limits import JSON_DEPTH_MAX, JSON_LEAVES_MAX

_NUMBER_MIN: Final = 10**7
"""Eight digits: shorter numbers are none of the kinds, and most numbers are short."""
_NUMBER_MAX: Final = 10**25
"""Longer numbers are none of the kinds either, and writing out a number of many digits takes quadratic time."""


class Texts:
    """The strings, object keys and long numbers of one payload in document order; ``texts[i]`` is that of leaf ``i``.

    ``skipped`` says why something was not collected (``depth``, ``leaves``), ``bytes_skipped`` at least how much.
    """

    __slots__ = ("_data", "_root", "_starts", "bytes_skipped", "payload", "skipped", "texts")

    def __init__(self, payload: Any, root: Path, texts: list[str], skipped: tuple[str, ...], bytes_skipped: int) -> None:
        self.texts = texts
        self.skipped = skipped
        self.bytes_skipped = bytes_skipped
        self.payload = payload
        self._root = root
        self._data: bytes | None = None
        self._starts: list[int] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def joined(self) -> bytes:
        """All texts as UTF-8 with a line feed between two, so that a key stands right before its value.

        Lone surrogates, which JSON can express and UTF-8 cannot, become their three-byte form.
        """
        if self._data is None:
            text = "\n".join(self.texts)
            try:
                self._data = text.encode()
            except UnicodeEncodeError:
                self._data = text.encode("utf-8", "surrogatepass")
        return self._data

    def starts(self) -> list[int]:
        """Where in ``joined()`` each text begins, in bytes, and one past the end plus one as the last element."""
        if self._starts is None:
            if self.joined().isascii():
                lengths: Iterable[int] = map(len, self.texts)
            else:
                lengths = self._lengths()
            self._starts = [length + index for index, length in enumerate(accumulate(lengths, initial=0))]
        return self._starts

    def _lengths(self) -> list[int]:
        """How many bytes each text is. The longest, which may be nearly all there is, is what the others leave."""
        longest = max(range(len(self.texts)), key=lambda index: len(self.texts[index]))
        lengths = [
            0 if index == longest else len(text.encode("utf-8", "surrogatepass")) for index, text in enumerate(self.texts)
        ]
        lengths[longest] = len(self.joined()) - sum(lengths) - len(lengths) + 1
        return lengths

    def index_at(self, offset: int) -> int:
        """Which text the byte at ``offset`` of ``joined()`` belongs to; the line feed belongs to the text before it."""
        return bisect_right(self.starts(), offset) - 1

    def around(self, offset: int) -> tuple[int, int]:
        """Begin and end of the text to which the byte at ``offset`` of ``joined()`` belongs."""
        index, starts = self.index_at(offset), self.starts()
        return starts[index], starts[index + 1] - 1

    def is_whole(self, start: int, end: int) -> bool:
        """Whether ``start:end`` of ``joined()`` is all of a text."""
        return self.around(start) == (start, end)

    def values(self) -> Iterator[tuple[int, str]]:
        """The texts that are no object keys, with their indexes, in document order; none where bounds left some out."""
        if isinstance(self.payload, dict | list) and not self.skipped:
            yield from _values(self.payload, 0)

    def leaves(self, wanted: Collection[int] | None = None) -> dict[int, Leaf]:
        """The leaves whose index is in ``wanted`` (all, when it is not given), by index, in document order.

        This walks the payload a second time, keeping paths; the first walk does not, because most messages have no hit.
        """
        placer = _Placer(range(len(self.texts)) if wanted is None else wanted)
        if isinstance(self.payload, dict | list):
            placer.place(self.payload, self._root, 1, 0)
        elif self.texts and 0 in placer.wanted:
            placer.leaves[0] = Leaf(self._root, self.texts[0], is_text=isinstance(self.payload, str))
        return placer.leaves


def walk(payload: Any, *, root: Path = ()) -> Texts:
    """Collect the texts of parsed JSON; ``root`` is the path of ``payload`` itself and stands before every leaf's path.

    Every string value, every object key (its path is that of its value), and integral numbers of 8 to 25 digits. What
    lies deeper than ``JSON_DEPTH_MAX`` or beyond ``JSON_LEAVES_MAX`` members is skipped, with the reason recorded.
    """
    walker = _Walker()
    walker.array((payload,), 0)
    return Texts(payload, root, walker.texts, tuple(sorted(walker.skipped)) if walker.skipped else (), walker.bytes_skipped)


class _Walker:
    """The first walk: strings only. Recursion is bounded by ``JSON_DEPTH_MAX``, and takes half the time of a stack."""

    __slots__ = ("bytes_skipped", "remaining", "skipped", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.remaining = JSON_LEAVES_MAX + 1
        self.skipped: set[str] = set()
        self.bytes_skipped = 0

    def object(self, members: dict[str, Any], depth: int) -> None:
        add = self.texts.append
        self.remaining -= len(members)
        if self.remaining < 0 or depth > JSON_DEPTH_MAX:
            members = dict(self._within_bounds(list(members.items()), depth))
        for key, value in members.items():
            add(key)
            kind = type(value)
            if kind is str:
                add(value)
            elif kind is dict:
                self.object(value, depth + 1)
            elif kind is list:
                self.array(value, depth + 1)
            elif (kind is int or kind is float) and (value >= _NUMBER_MIN or value <= -_NUMBER_MIN):
                self.texts += _number_texts(value)

    def array(self, members: Sequence[Any], depth: int) -> None:
        add = self.texts.append
        self.remaining -= len(members)
        if self.remaining < 0 or depth > JSON_DEPTH_MAX:
            members = self._within_bounds(members, depth)
        for value in members:
            kind = type(value)
            if kind is str:
                add(value)
            elif kind is dict:
                self.object(value, depth + 1)
            elif kind is list:
                self.array(value, depth + 1)
            elif (kind is int or kind is float) and (value >= _NUMBER_MIN or value <= -_NUMBER_MIN):
                self.texts += _number_texts(value)

    def _within_bounds(self, members: Sequence[Any], depth: int) -> Sequence[Any]:
        """The members within the bounds. Of the rest only the strings right here are counted: counting all is work."""
        count = 0
        if depth > JSON_DEPTH_MAX:
            self.skipped.add("depth")
            self.remaining += len(members)
        else:
            self.skipped.add("leaves")
            count = max(0, self.remaining + len(members))
        rest = (part for member in members[count:] for part in (member if isinstance(member, tuple) else (member,)))
        self.bytes_skipped += sum(len(part) for part in rest if isinstance(part, str))
        return members[:count]


class _Placer:
    """The second walk: the same texts in the same order and within the same bounds, with their paths."""

    __slots__ = ("last", "leaves", "remaining", "wanted")

    def __init__(self, wanted: Collection[int]) -> None:
        self.wanted = wanted
        self.last = max(wanted, default=-1)
        self.leaves: dict[int, Leaf] = {}
        self.remaining = JSON_LEAVES_MAX

    def place(self, container: Any, path: Path, depth: int, index: int) -> int:
        """Place the leaves of ``container``, of which the first has ``index``; returns the index after the last."""
        if depth > JSON_DEPTH_MAX:
            return index
        is_object = isinstance(container, dict)
        members = islice(container.items() if is_object else enumerate(container), max(self.remaining, 0))
        self.remaining -= len(container)
        wanted, leaves = self.wanted, self.leaves
        for step, value in members:
            if is_object:
                if index in wanted:
                    leaves[index] = Leaf((*path, step), step, is_key=True)
                index += 1
            kind = type(value)
            if kind is str:
                if index in wanted:
                    leaves[index] = Leaf((*path, step), value)
                index += 1
            elif kind is dict or kind is list:
                index = self.place(value, (*path, step), depth + 1, index)
                if index > self.last:
                    break
            elif kind is int or kind is float:
                for text in _number_texts(value):
                    if index in wanted:
                        leaves[index] = Leaf((*path, step), text, is_text=False)
                    index += 1
        return index


def _values(container: Any, index: int) -> Iterator[tuple[int, str]]:
    """The texts in ``container`` that are no keys, each with its index among all; ``index`` is that of the first."""
    stack: list[Iterator[Any]] = [iter(container.items() if isinstance(container, dict) else container)]
    while stack:
        for member in stack[-1]:
            value = member
            if type(member) is tuple:
                index, value = index + 1, member[1]
            if type(value) is str:
                yield index, value
                index += 1
            elif type(value) is dict or type(value) is list:
                stack.append(iter(value.items() if type(value) is dict else value))
                break
            else:
                index += len(_number_texts(value))
        else:
            stack.pop()


def _number_texts(value: Any) -> tuple[str, ...]:
    """The digits of an integral number long enough to be an identifier. A number with a fraction is never one."""
    if type(value) is int or (type(value) is float and value.is_integer()):
        return (str(int(value)),) if _NUMBER_MIN <= abs(value) < _NUMBER_MAX else ()
    return ()

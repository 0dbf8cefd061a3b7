"""The texts in a parsed message: collected in one pass for the scan, given places only where something was found."""

from bisect import bisect_right
from collections.abc import Collection, Iterator
from itertools import accumulate, chain, islice
from typing import Any, Final

from sidecar.detect import named, personal, secrets
from sidecar.events import Leaf, Path, Span
from sidecar.limits import JSON_DEPTH_MAX, JSON_LEAVES_MAX

_NUMBER_MIN: Final = 10**7
"""Eight digits: shorter numbers are none of the kinds, and most numbers are short."""
_NUMBER_MAX: Final = 10**25
"""Longer numbers are none of the kinds either, and writing out a number of many digits takes quadratic time."""

_SHOWN: Final = {each.kind: each.shown for each in (*secrets.DETECTORS, *personal.DETECTORS, *named.DETECTORS)}

_pairs = chain.from_iterable


class Texts:
    """The strings, object keys and long numbers of one payload in document order; ``texts[i]`` is that of leaf ``i``.

    ``skipped`` says why something was not collected (``depth``, ``leaves``), ``bytes_skipped`` at least how much.
    """

    __slots__ = ("_data", "_payload", "_root", "_starts", "bytes_skipped", "skipped", "texts")

    def __init__(
        self, payload: Any, root: Path, texts: list[str], skipped: tuple[str, ...], bytes_skipped: int
    ) -> None:
        self.texts = texts
        self.skipped = skipped
        self.bytes_skipped = bytes_skipped
        self._payload = payload
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
            lengths = (
                len(text) + 1 if text.isascii() else len(text.encode("utf-8", "surrogatepass")) + 1
                for text in self.texts
            )
            self._starts = list(accumulate(lengths, initial=0))
        return self._starts

    def index_at(self, offset: int) -> int:
        """Which text the byte at ``offset`` of ``joined()`` belongs to; the line feed belongs to the text before it."""
        return bisect_right(self.starts(), offset) - 1

    def leaves(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, Leaf]]:
        """The leaves (only those whose index is in ``wanted``, when given) with their index, in document order.

        This walks the payload a second time, keeping paths; the first walk does not, because most messages have no hit.
        """
        if not isinstance(self._payload, dict | list):
            yield from (
                (index, Leaf(self._root, text, is_text=isinstance(self._payload, str)))
                for index, text in enumerate(self.texts)
            )
            return
        last = max(wanted, default=-1) if wanted is not None else len(self.texts) - 1
        path: list[Any] = list(self._root)
        stack: list[tuple[Iterator[Any], bool]] = []
        index, left = 0, JSON_LEAVES_MAX
        opened: Any = self._payload
        while (opened is not None or stack) and index <= last:
            if opened is not None:
                is_object = isinstance(opened, dict)
                stack.append((islice(opened.items() if is_object else enumerate(opened), max(left, 0)), is_object))
                left -= len(opened)
                path.append(None)
                opened = None
            members, is_object = stack[-1]
            for step, value in members:
                path[-1] = step
                if is_object:
                    if wanted is None or index in wanted:
                        yield index, Leaf(tuple(path), step, is_key=True)
                    index += 1
                if isinstance(value, dict | list):
                    if len(stack) < JSON_DEPTH_MAX:
                        opened = value
                        break
                elif (text := value if isinstance(value, str) else _number_text(value)) is not None:
                    if wanted is None or index in wanted:
                        yield index, Leaf(tuple(path), text, is_text=isinstance(value, str))
                    index += 1
            else:
                stack.pop()
                path.pop()


def walk(payload: Any, *, root: Path = ()) -> Texts:
    """Collect the texts of parsed JSON; ``root`` is the path of ``payload`` itself and stands before every leaf's path.

    Every string value, every object key (its path is that of its value), and integral numbers of 8 to 25 digits. What
    lies deeper than ``JSON_DEPTH_MAX`` or beyond ``JSON_LEAVES_MAX`` members is skipped, with the reason recorded.
    """
    texts: list[str] = []
    add = texts.append
    stack: list[Iterator[Any]] = [iter((payload,))]
    left = JSON_LEAVES_MAX
    skipped: list[Any] = []
    reasons: set[str] = set()
    while stack:
        for value in stack[-1]:
            kind = type(value)
            if kind is str:
                add(value)
            elif kind is dict or kind is list:
                if len(stack) > JSON_DEPTH_MAX:
                    reasons.add("depth")
                    skipped.append(value)
                    continue
                stack.append(_pairs(value.items()) if kind is dict else iter(value))
                if len(value) > left:
                    stack[-1] = (
                        _pairs(islice(value.items(), max(left, 0))) if kind is dict else islice(value, max(left, 0))
                    )
                    reasons.add("leaves")
                    skipped.append(value)
                left -= len(value)
                break
            elif (kind is int or kind is float) and (text := _number_text(value)) is not None:
                add(text)
        else:
            stack.pop()
    return Texts(payload, root, texts, tuple(sorted(reasons)), _bytes_in(skipped) if skipped else 0)


def _number_text(value: Any) -> str | None:
    """The digits of an integral number long enough to be an identifier. A number with a fraction is never one."""
    if type(value) is int:
        return str(value) if _NUMBER_MIN <= abs(value) < _NUMBER_MAX else None
    if type(value) is float and value.is_integer():
        return str(int(value)) if _NUMBER_MIN <= abs(value) < _NUMBER_MAX else None
    return None


def _bytes_in(containers: list[Any]) -> int:
    """At least this was skipped: the strings right in these containers. Counting all would be the work we refuse."""
    members = _pairs(_pairs(each.items()) if isinstance(each, dict) else each for each in containers)
    return sum(len(member) for member in members if isinstance(member, str))


def preview(span: Span) -> str:
    """The value masked: the public prefix where its kind has one, then its length (``AKIA…(20)``, ``…(16)``)."""
    value = span.value
    return f"{value[: _SHOWN.get(span.kind, 0)]}…({len(value)})"


def mark(span: Span) -> str:
    """What stands in a message in place of the value: its kind in brackets."""
    return f"[{span.kind}]"

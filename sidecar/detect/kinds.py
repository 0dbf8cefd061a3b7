"""What one detector is: where to look, what exactly to take, and how sure that is."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from sidecar.detect.prefilter_groups import WORDS, PrefilterGroup
from sidecar.events import Span

_SMALL_LETTERS: Final = re.compile("[0-9A-Z]{0,4}[a-z_.-]+")
CONTEXT_CHARS: Final = 80
"""How far around a value words still speak of it: a line of prose, or a few members of a record."""

ESCAPED: Final = (
    r"\\u[0-9A-Fa-f]{4}|\\U0000[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\0(?:4[0-7]|7[2-7])|%(?:25)*[0-9A-Fa-f]{2}|=3D|\\[bfnrt]"
)
"""Escaped characters as JSON in JSON, programs, URLs and mails (quoted-printable) write them: they end in a letter or digit
and still separate."""


def amid(inside: str) -> str:
    """A pattern for what stands before a value within a text, which may not go on to the left: none of ``inside``."""
    return rf"(?:{ESCAPED}|[^{inside}])"


def before(inside: str) -> str:
    """The same where the value may also begin the text."""
    return rf"(?:{ESCAPED}|^|[^{inside}])"


BEFORE: Final = before("0-9A-Za-z")
AFTER: Final = r"(?:[^0-9A-Za-z]|$)"

PLACEHOLDER: Final = re.compile(
    r"(?i)x{5}|0{10}|\*{3}|\.{3}|\byour[_-]|[_-]here\b|change.?me|placeholder|redacted|insert[_-]"
    r"|(?:token|key|string|secret|value|goes)_?here|[<>{}$]|#{3}"
)
"""What people write where a value belongs: it holds none, so no profile reports it."""


class Surface(Protocol):
    """A text that was scanned: the message's own (``Texts``), or a view of it."""

    def joined(self) -> bytes:
        """All of it."""
        ...

    def around(self, offset: int) -> tuple[int, int]:
        """Begin and end of the leaf, or the stretch of a view, in which ``offset`` lies."""
        ...

    def is_whole(self, start: int, end: int) -> bool:
        """Whether the stretch is all of its leaf."""
        ...


class Candidate:
    """A stretch of a surface that has the shape of a kind, with what stands around it.

    ``before`` and ``after`` (at most ``CONTEXT_CHARS``) may reach into the neighbouring leaves, so that a value is seen
    with its key. Most are refused by their ``value`` alone, so that the rest is made when it is asked for.
    """

    __slots__ = ("_end", "_start", "_surface", "value")

    def __init__(self, surface: Surface, start: int, end: int) -> None:
        """``start`` and ``end`` are bytes of ``surface.joined()``."""
        self._surface = surface
        self._start = start
        self._end = end
        self.value = surface.joined()[start:end].decode("utf-8", "replace")

    @property
    def before(self) -> str:
        """What stands before the value."""
        start = self._start
        return self._surface.joined()[max(0, start - CONTEXT_CHARS) : start].decode("utf-8", "replace")

    @property
    def after(self) -> str:
        """What stands after the value."""
        end = self._end
        return self._surface.joined()[end : end + CONTEXT_CHARS].decode("utf-8", "replace")

    @property
    def is_whole(self) -> bool:
        """Whether the value is all of its leaf."""
        return self._surface.is_whole(self._start, self._end)


Check = Callable[[Candidate], float]
"""A factor on the detector's confidence; 0 when the candidate is not what it looks like."""


@dataclass(frozen=True, slots=True)
class Detector:
    """One way to recognise one kind; a kind may have several.

    ``prefilter`` is what Hyperscan looks for in every message for which the condition of its ``group`` holds: wherever
    ``pattern`` matches, both must match too, the prefilter ending in or right after the value, and elsewhere as seldom as
    possible. ``pattern`` is RE2 over bytes; its first group is the value, and its match begins at most ``lead`` bytes before
    the end of the prefilter's and ends at most ``tail`` after.
    Where ``is_ahead``, the prefilter is a word, and values are looked for up to ``tail`` after it.
    ``precheck`` is asked first, with the text and the end of the prefilter's match, and refuses what ``check`` would refuse.
    ``check`` decides what patterns cannot, and where ``may_overlap``, a value may begin inside one it refused.
    ``doubt`` says that a value looks like one written for documentation: then only the strict profile reports it.
    ``about`` is the documentation: what is found and what not. ``shown`` is how many leading characters of the value
    are the vendor's public prefix and may be shown to people. ``effort`` is what it costs to find out that a
    candidate is none, in about microseconds: their sum is bounded for each message.
    """

    kind: str
    about: str
    prefilter: str
    pattern: str
    confidence: float
    shown: int = 0
    lead: int = 256
    tail: int = 256
    check: Check | None = None
    may_overlap: bool = False
    doubt: Callable[[Candidate], bool] | None = None
    is_ahead: bool = False
    group: PrefilterGroup = WORDS
    effort: int = 15
    precheck: Callable[[bytes, int], bool] | None = None


REGISTERED_KIND: Final = "secrets.registered"
"""The kind of secrets that the settings name."""

SIGNALS: Final = "injection."
"""Kinds of this prefix are no values to be kept secret but words to be noticed: they hide no value that stands in them."""


def values(spans: Iterable[Span]) -> list[Span]:
    """Those that hold a value, which is kept from people; the others are signals: words that people should see."""
    return [span for span in spans if not span.kind.startswith(SIGNALS)]


def is_filled_in(candidate: Candidate) -> bool:
    """No placeholder and no identifier of small letters; whether it looks random is asked by the default profile only."""
    return not PLACEHOLDER.search(candidate.value) and _SMALL_LETTERS.fullmatch(candidate.value) is None

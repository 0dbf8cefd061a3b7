"""Looks up the words and codes of a text in a list of values that is known only by keyed hashes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from math import isqrt

from sidecar.detect.custom.exact_form import (
    CODE_WORDS_MAX,
    DIGIT,
    GAP_MAX,
    LEAF_END,
    ValueForm,
    digit_runs,
    fold,
    normalise,
    patterns,
    unique_words,
)
from sidecar.detect.custom.exact_list import DIGEST_BYTES, HEAD_BYTES, Header, digest, head_digest, key_id, key_of
from sidecar.limits import EXACT_LOOKUPS_MAX


class ExactTable:
    """The values of one list, to be looked up. Thread-safe; its cache of texts' words is bounded and stays in memory."""

    __slots__ = ("has", "header", "is_head")

    def __init__(self, header: Header, body: bytes, key: bytes) -> None:
        """``body``: ``count`` sorted digests of values, then ``heads`` sorted digests of first words."""
        self.header = header
        # Nothing here refers back to the table, so that a large one goes as soon as another takes its place.
        self.is_head = lru_cache(maxsize=1 << 16)(partial(_is_head, body, header, key))
        self.has = lru_cache(maxsize=1 << 14)(partial(_has, body, header, key))

    def find(self, text: str) -> tuple[list[tuple[int, int]], bool]:
        """Where in ``text`` values of the list stand, in order, without overlap; the longer of two that begin together.

        Beside them, whether there were more candidates than are looked up.
        """
        budget = [EXACT_LOOKUPS_MAX]
        places = sorted((*self._words_in(text, budget), *self._codes_in(text, budget)), key=lambda place: (place[0], -place[1]))
        found: list[tuple[int, int]] = []
        for start, end in places:
            if not found or start >= found[-1][1]:
                found.append((start, end))
        return found, budget[0] < 0

    def _words_in(self, text: str, budget: list[int]) -> Iterator[tuple[int, int]]:
        """Values of words: looked up only from words on that begin a value of the list."""
        if not self.header.words:
            return
        heads = {word for word in unique_words(text) if self.is_head(word)}
        if not heads:
            return
        tokens = [(fold(each[0]), *each.span()) for each in patterns(text)[0].finditer(text)]
        for index, (word, start, _) in enumerate(tokens):
            if word in heads:
                for made, end in _named(tokens, index, text, self.header.words):
                    budget[0] -= 1
                    if budget[0] >= 0 and self.has(made):
                        yield start, end

    def _codes_in(self, text: str, budget: list[int]) -> Iterator[tuple[int, int]]:
        """Codes: looked up where one of their lengths can be put together."""
        lengths = self.header.codes
        if not lengths:
            return
        pattern, runs = patterns(text)
        for run in (digit_runs(text) if self.header.is_digits else runs).finditer(text):
            if len(run[0]) < lengths[0] or not DIGIT.search(run[0]):
                continue
            start, end = run.span()
            tokens = list(pattern.finditer(text, start, end))
            if start and (longer := pattern.match(text, start - 1)) and longer.end() > start:
                del tokens[0]
            for code, first, last in _codes([fold(each[0]) for each in tokens], lengths):
                budget[0] -= 1
                if budget[0] < 0:
                    return
                if self.has(ValueForm(code, 1, True)):
                    yield tokens[first].start(), tokens[last].end()


def _is_head(body: bytes, header: Header, key: bytes, word: str) -> bool:
    """Whether a value begins with ``word``, which is folded."""
    return _is_in(body, header.count * DIGEST_BYTES, header.heads, HEAD_BYTES, head_digest(key, word))


def _has(body: bytes, header: Header, key: bytes, made: ValueForm) -> bool:
    return _is_in(body, 0, header.count, DIGEST_BYTES, digest(key, made))


Token = tuple[str, int, int]


def _named(tokens: Sequence[Token], index: int, text: str, counts: Sequence[int]) -> Iterator[tuple[ValueForm, int]]:
    """What the words from ``index`` on may be a value of, and where each ends; not across a gap."""
    parts: list[str] = []
    for at in range(index, min(len(tokens), index + counts[-1])):
        word, start, end = tokens[at]
        if parts:
            gap = text[tokens[at - 1][2] : start]
            if len(gap) > GAP_MAX or LEAF_END in gap:
                return
        parts.append(word)
        if len(parts) in counts:
            yield ValueForm(" ".join(parts), len(parts), False), end


def _codes(words: Sequence[str], lengths: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """What words that follow one another may be a code of, with the first and the last of them."""
    ends = list(accumulate(map(len, words)))
    longest, wanted, count = lengths[-1], frozenset(lengths), len(words)
    for first in range(count):
        before = ends[first] - len(words[first])
        for last in range(first, min(count, first + CODE_WORDS_MAX)):
            length = ends[last] - before
            if length > longest:
                break
            if length in wanted and DIGIT.search(code := "".join(words[first : last + 1])):
                yield code, first, last


def _is_in(body: bytes, at: int, count: int, width: int, wanted: bytes) -> bool:
    """Whether ``wanted`` is among ``count`` sorted entries of ``width`` bytes from ``at`` on.

    Hashes lie evenly, so that the place is nearly known; where they do not, all entries are searched.
    """
    low, high = 0, count
    near, slack = int.from_bytes(wanted[:4]) * count >> 32, 64 + 2 * isqrt(count)
    if near > slack and body[(start := at + (near - slack) * width) : start + width] <= wanted:
        low = near - slack
    if near + slack < count and body[(start := at + (near + slack) * width) : start + width] > wanted:
        high = near + slack
    while low < high:
        middle = (low + high) // 2
        start = at + middle * width
        entry = body[start : start + width]
        if entry == wanted:
            return True
        if entry < wanted:
            low = middle + 1
        else:
            high = middle
    return False


def build_table(values: Iterable[str], column: str = "") -> ExactTable:
    """A list of a few values, for a test inside a policy: no file, and a key of no secrecy."""
    key = key_of("a list named in a test")
    forms = {made for value in values if (made := normalise(value))}
    digests = sorted({digest(key, made) for made in forms})
    heads = sorted({head_digest(key, made.head) for made in forms if not made.is_code})
    body = b"".join((*digests, *heads))
    words = tuple(sorted({made.words for made in forms if not made.is_code}))
    codes = tuple(sorted({len(made.text) for made in forms if made.is_code}))
    sha256 = hashlib.sha256(body).hexdigest()
    is_digits = all(made.text.isdecimal() for made in forms if made.is_code)
    return ExactTable(Header(column, len(digests), len(heads), words, codes, is_digits, key_id(key), sha256), body, key)

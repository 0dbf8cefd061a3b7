"""The values behind tokens, for as long as their session may need them. In memory only, bounded, and nowhere else.

A token that is not known here (another session's, one from before a restart, a forgotten one) stays what it is: a name
without a value. Nothing is ever revealed because something was forgotten.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sidecar import limits
from sidecar.detect import Texts, walk
from sidecar.events import Leaf, Message, Path, Scan, Span, Verdict
from sidecar.policy.nested_json import Nested
from sidecar.policy.replacements import Replacements, Stretch, stretch_of
from sidecar.policy.tokens import TokenForm, TokenSpan, heads, in_text, may_hold, numbers, other_forms

_OPENED_MAX: Final = 3
"""A value may hold a token itself, where a longer value was found around one."""


@dataclass(slots=True)
class StoredValue:
    """A value, the rules that put a token in its place, and the servers that know it because they sent it."""

    value: str
    kind: str
    used: float
    rules: set[str] = field(default_factory=set)
    servers: set[str] = field(default_factory=set)


May = Callable[[StoredValue], bool]
"""Whether a value may go where the message at hand goes."""


@dataclass(frozen=True, slots=True)
class FoundToken:
    """One token that stands in a message."""

    leaf: Leaf
    place: TokenSpan


@dataclass(frozen=True, slots=True)
class Restored:
    """What tokens of a message turn back into: stretches of texts, and whole numbers.

    ``left`` counts tokens that stay because no rule lets them turn back here, ``unknown`` those nothing is known of.
    """

    spans: tuple[Span, ...]
    texts: Mapping[Stretch, str]
    numbers: Mapping[Path, Any]
    left: int
    unknown: int

    @property
    def is_any(self) -> bool:
        """Whether a token turns back at all."""
        return bool(self.spans or self.numbers)

    def counts(self) -> list[tuple[str, int]]:
        """What there is to tell of it, by name."""
        done = len(self.spans) + len(self.numbers)
        counts = (("tokens_restored", done), ("tokens_left", self.left), ("tokens_unknown", self.unknown))
        return [(name, count) for name, count in counts if count]

    def value(self, span: Span) -> str:
        """What one of ``spans`` becomes."""
        return self.texts[stretch_of(span)]


def _without_tokens(scan: Scan, standing: Collection[FoundToken]) -> Scan:
    """A scan without what the detectors took for a value in our own tokens, an e-mail address for example."""
    places: dict[tuple[Path, bool], list[TokenSpan]] = {}
    for each in standing:
        places.setdefault((each.leaf.path, each.leaf.is_key), []).append(each.place)

    def is_token(span: Span) -> bool:
        near = places.get((span.leaf.path, span.leaf.is_key), ())
        return any(place.start <= span.start and span.end <= place.end for place in near)

    return scan._replace(spans=tuple(span for span in scan.spans if not is_token(span)))


class Vault:
    """One per process. Not thread-safe: one event loop judges."""

    __slots__ = ("_chars", "_count", "_form", "_sessions", "_with_numbers", "forgotten")

    def __init__(self, key: bytes) -> None:
        self._form = TokenForm(key)
        self._sessions: OrderedDict[str, OrderedDict[str, StoredValue]] = OrderedDict()
        self._with_numbers: set[str] = set()
        self._count = self._chars = 0
        self.forgotten = 0
        """How many values were dropped because a bound was reached."""

    def replacements(self, message: Message, verdict: Verdict, now: float) -> Replacements:
        """What to write in place of a verdict's redactions; values that get tokens are kept from ``now`` (unix seconds)."""
        texts: dict[Stretch, str] = {}
        others: dict[Path, tuple[Any, ...]] = {}
        nested = Nested()
        for span, rules in verdict.tokens if verdict.action != "block" else ():
            leaf = span.leaf
            value = nested.unescape(leaf.text, span.start, span.end)
            if not leaf.is_text or (message.kind == "result" and nested.is_bare(leaf.text, span.start, span.end)):
                number = self._form.number(message.session, value)
                if self._keep(str(number), StoredValue(value, span.kind, now), message, rules):
                    self._with_numbers.add(message.session)
                    texts[stretch_of(span)] = str(number)
                    if not leaf.is_text:
                        others[leaf.path] = (number,)
                continue
            token_id = self._form.id(message.session, value)
            if self._keep(token_id, StoredValue(value, span.kind, now), message, rules):
                # The kind it had first: the same value is the same token, however it was known.
                kind = self._sessions[message.session][token_id].kind
                core = self._form.core(token_id, kind)
                texts[stretch_of(span)] = in_text(core, kind)
                if span.end - span.start == len(leaf.text):
                    others[leaf.path] = other_forms(core)
        return Replacements(texts, others)

    def scan_message(self, scan: Callable[[Texts], Scan], message: Message) -> tuple[Scan, list[FoundToken]]:
        """What the detectors see in a message beside our tokens, which say nothing, and the tokens."""
        texts = walk(message.payload)
        standing = self.find_tokens(texts, message.session)
        seen = scan(texts)
        return (_without_tokens(seen, standing) if standing and seen.spans else seen), standing

    def find_tokens(self, texts: Texts, session: str) -> list[FoundToken]:
        """The tokens of this installation that stand in the texts of a message of ``session``."""
        has_numbers = session in self._with_numbers
        data = texts.joined()
        if not may_hold(data, session in self._sessions, has_numbers):
            return []
        wanted = {texts.index_at(offset) for offset in heads(data, has_numbers)}
        found: list[FoundToken] = []
        for leaf in texts.leaves(wanted).values():
            places = [*self._form.tokens(leaf.text)]
            if has_numbers:
                places += [each for each in numbers(leaf.text) if each.id in self._sessions[session]]
            found += [FoundToken(leaf, place) for place in places]
            if len(found) >= limits.TOKENS_PER_MESSAGE_MAX:
                break
        return found[: limits.TOKENS_PER_MESSAGE_MAX]

    def restored(self, session: str, standing: Collection[FoundToken], may: May, now: float) -> Restored:
        """What the tokens that stand in a message turn back into, as far as they ``may``."""
        spans: list[Span] = []
        texts: dict[Stretch, str] = {}
        whole: dict[Path, Any] = {}
        left = unknown = 0
        nested = Nested()
        for leaf, place in ((each.leaf, each.place) for each in standing):
            kept = None if leaf.is_key else self._kept(session, place.id, now)
            if kept is None:
                unknown += 1
            elif not may(kept):
                left += 1
            elif not leaf.is_text:
                whole[leaf.path] = int(kept.value)
            else:
                span = Span("token", leaf, place.start, place.end, 1.0)
                value = self._opened(session, kept.value, may, now)
                texts[stretch_of(span)] = nested.escape(value, leaf.text, place.start, place.end)
                spans.append(span)
        return Restored(tuple(spans), texts, whole, left, unknown)

    def _opened(self, session: str, value: str, may: May, now: float) -> str:
        """A value with the tokens in it turned back too, as far as they may."""
        for _ in range(_OPENED_MAX):
            parts, done = [], 0
            for place in self._form.tokens(value):
                kept = self._kept(session, place.id, now)
                if kept is not None and may(kept):
                    parts += [value[done : place.start], kept.value]
                    done = place.end
            if not parts:
                break
            value = "".join((*parts, value[done:]))
        return value

    def _kept(self, session: str, token_id: str, now: float) -> StoredValue | None:
        values = self._sessions.get(session)
        kept = values.get(token_id) if values is not None else None
        if values is None or kept is None:
            return None
        if now - kept.used > limits.TOKEN_IDLE_S:
            self._drop(session, token_id)
            return None
        kept.used = now
        values.move_to_end(token_id)
        self._sessions.move_to_end(session)
        return kept

    def _keep(self, token_id: str, new: StoredValue, message: Message, rules: Collection[str]) -> bool:
        """Keep a value; not one that is too long, nor where the same token stands for another."""
        if len(new.value) > limits.TOKEN_VALUE_CHARS_MAX:
            return False
        session = message.session
        kept = self._kept(session, token_id, new.used)
        if kept is None:
            self._expire(new.used)
            kept = self._sessions.setdefault(session, OrderedDict())[token_id] = new
            self._sessions.move_to_end(session)
            self._count += 1
            self._chars += len(new.value)
            self._bound(session)
        if kept.value != new.value:
            return False
        kept.rules |= set(rules)
        if message.direction == "response":
            kept.servers.add(message.server)
        return True

    def _bound(self, session: str) -> None:
        values = self._sessions[session]
        if len(values) > limits.TOKENS_PER_SESSION_MAX:
            self._drop(session, next(iter(values)))
            self.forgotten += 1
        while self._count > limits.TOKENS_MAX or self._chars > limits.TOKENS_CHARS_MAX:
            idlest = next(iter(self._sessions))
            self._drop(idlest, next(iter(self._sessions[idlest])))
            self.forgotten += 1

    def _expire(self, now: float) -> None:
        """Drop what its session has not used for too long; sessions stand in the order of their last use."""
        while self._sessions:
            session, values = next(iter(self._sessions.items()))
            token_id, oldest = next(iter(values.items()))
            if now - oldest.used <= limits.TOKEN_IDLE_S:
                break
            self._drop(session, token_id)

    def _drop(self, session: str, token_id: str) -> None:
        values = self._sessions[session]
        self._count -= 1
        self._chars -= len(values.pop(token_id).value)
        if not values:
            del self._sessions[session]
            self._with_numbers.discard(session)

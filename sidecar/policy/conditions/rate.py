"""``when.rate``: more than so many calls in a sliding window."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field

from sidecar.errors import Problem
from sidecar.events import Direction, Message
from sidecar.limits import RATE_ENTRIES_MAX, RATE_WINDOW_ENTRIES_MAX, RATE_WINDOWS_MAX
from sidecar.policy.base_model import PolicyModel
from sidecar.policy.conditions.protocol import HOLDS, Condition, Evidence, Explanation, SpecPlace, Subject, Vocabulary
from sidecar.policy.fields import Duration, Listed, seconds

Per = Literal["session", "tool", "server", "user", "method"]
WindowKey = tuple[str, ...]

_PARTS: Final[Mapping[Per, Callable[[Message], str]]] = {
    "session": attrgetter("session"),
    "tool": attrgetter("tool"),
    "server": attrgetter("server"),
    "user": attrgetter("caller.user"),
    "method": attrgetter("method"),
}
"""What ``per`` can name. A user who is not verified is one user together with all others who are not."""

_ANSWERS: Final = frozenset({"result", "error"})
"""Sent to a server, these answer a request of its own, and are no calls."""


class RateSpec(PolicyModel):
    """More than ``above`` calls in a sliding window ``over``, this one included."""

    per: Annotated[list[Per], Field(min_length=1), Listed]
    over: Duration
    above: int = Field(ge=1, lt=RATE_WINDOW_ENTRIES_MAX)


class Windows:
    """The sliding windows of all rules. Bounded: the window used longest ago is dropped, and starts from nothing.

    ``forgotten`` counts the windows that were dropped.
    """

    __slots__ = ("_entries", "_windows", "forgotten")

    def __init__(self) -> None:
        self.forgotten = 0
        self._entries = 0
        self._windows: OrderedDict[WindowKey, deque[float]] = OrderedDict()

    def is_above(self, key: WindowKey, now: float, over_s: int, above: int) -> bool:
        """Count a call at ``now`` (unix seconds) in the window ``key``: are more than ``above`` in the last ``over_s``?

        Exact: the ``above + 1`` newest moments decide, so no more are kept.
        """
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = deque(maxlen=above + 1)
        elif window.maxlen != above + 1:
            self._entries -= len(window)
            window = self._windows[key] = deque(window, maxlen=above + 1)
            self._entries += len(window)
        self._windows.move_to_end(key)
        if len(window) <= above:
            self._entries += 1
        window.append(now)
        while self._windows and (len(self._windows) > RATE_WINDOWS_MAX or self._entries > RATE_ENTRIES_MAX):
            _, oldest = self._windows.popitem(last=False)
            self._entries -= len(oldest)
            self.forgotten += 1
        return len(window) > above and window[0] > now - over_s

    def count(self, key: WindowKey, now: float, over_s: int) -> int:
        """How many calls the window ``key`` holds in the last ``over_s``: at most one more than its rule allows."""
        return sum(moment > now - over_s for moment in self._windows.get(key, ()))


@dataclass(frozen=True, slots=True)
class RateCondition(Condition[RateSpec]):
    """More than ``above`` calls in ``over_s`` seconds, for each combination of ``per``. Answers are no calls.

    It is evaluated before all others, since it counts every call that its rule is for, whatever else the rule asks.
    """

    name: ClassVar[str] = "rate"
    spec: ClassVar[type[RateSpec]] = RateSpec
    cost: ClassVar[int] = 0
    direction: ClassVar[Direction | None] = "request"
    finding_kind: ClassVar[str] = "rate"
    counts_calls: ClassVar[bool] = True

    rule: str
    per: tuple[Per, ...]
    over_s: int
    above: int

    @classmethod
    def compile(cls, spec: RateSpec, place: SpecPlace, vocabulary: Vocabulary) -> tuple[Self | None, tuple[Problem, ...]]:
        """Its form says all that can be wrong."""
        return cls(place.rule, tuple(spec.per), seconds(spec.over), spec.above), ()

    @classmethod
    def check(cls, spec: RateSpec, place: SpecPlace) -> Iterator[Problem]:
        """A definition is no call."""
        if place.is_of_definitions:
            text = "'rate' counts calls, and a definition is not a call, so this never matches; make it a separate rule"
            yield place.problem("never-matches", text)

    def hold(self, subject: Subject) -> Evidence | None:
        """Count this call, if it is one."""
        facts = subject.facts
        message = facts.message
        if message.direction == "request" and message.kind in _ANSWERS:
            return None
        key = (self.rule, *[_PARTS[each](message) for each in self.per])
        windows = subject.state.memory(Windows)
        return HOLDS if windows.is_above(key, facts.now, self.over_s, self.above) else None

    def explain(self, subject: Subject) -> Explanation:
        """How many calls there were, up to one more than is allowed."""
        message = subject.facts.message
        if message.direction == "request" and message.kind in _ANSWERS:
            return Explanation(False, "only calls are counted, and this is an answer")
        key = (self.rule, *[_PARTS[each](message) for each in self.per])
        count = subject.state.memory(Windows).count(key, subject.facts.now, self.over_s)
        window = f"in {self.over_s} s with the same {', '.join(self.per)}"
        if count > self.above:
            return Explanation(True, f"more than {_calls(self.above)} {window}")
        return Explanation(False, f"{_calls(count)} {window}; at most {self.above} allowed")


def _calls(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"

"""``match`` and ``unless``: the cheap selectors of a rule, compiled so that judging them costs next to nothing."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from sidecar.events import Direction, Message

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Names:
    """Some names and globs. An empty text is none of them, so ``user: "*"`` means any *verified* user."""

    exact: frozenset[str]
    pattern: re.Pattern[str] | None = None

    def has(self, text: str) -> bool:
        """Whether one of them is ``text``."""
        if text in self.exact:
            return True
        return self.pattern is not None and text != "" and self.pattern.match(text) is not None


def is_glob(text: str) -> bool:
    """Whether a name stands for several."""
    return any(sign in text for sign in "*?[")


def compile_names(patterns: Sequence[str]) -> Names:
    """Names and globs (``*``, ``?``, ``[…]``, case matters, ``*`` also crosses ``/``) made ready to ask."""
    globs = [fnmatch.translate(each) for each in patterns if is_glob(each)]
    exact = frozenset(each for each in patterns if not is_glob(each))
    return Names(exact - {""}, re.compile("|".join(globs)) if globs else None)


@dataclass(frozen=True, slots=True)
class Hours:
    """Some hours of some days in one time zone. A stretch past midnight belongs to the day on which it began."""

    days: frozenset[int]
    start_min: int
    end_min: int
    zone: tzinfo

    def has(self, now: float) -> bool:
        """Whether ``now`` (unix seconds) lies in them; the end does not."""
        local = datetime.fromtimestamp(now, self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start_min < self.end_min:
            return day in self.days and self.start_min <= minute < self.end_min
        if minute >= self.start_min:
            return day in self.days
        return minute < self.end_min and (day - 1) % 7 in self.days


@dataclass(frozen=True, slots=True)
class Match:
    """All given fields must fit; a field that is ``None`` was not given."""

    server: Names | None = None
    tool: Names | None = None
    method: Names | None = None
    direction: Direction | None = None
    client: Names | None = None
    user: Names | None = None
    group: Names | None = None
    hours: Hours | None = None

    def fits(self, message: Message, now: float) -> bool:
        """Whether ``message`` at ``now`` (unix seconds) is one of those meant."""
        if self.direction is not None and self.direction != message.direction:
            return False
        if self.method is not None and not self.method.has(message.method):
            return False
        if self.server is not None and not self.server.has(message.server):
            return False
        if self.tool is not None and not self.tool.has(message.tool):
            return False
        caller = message.caller
        if self.user is not None and not self.user.has(caller.user):
            return False
        if self.client is not None and not self.client.has(caller.client):
            return False
        if self.group is not None and not any(self.group.has(group) for group in caller.groups):
            return False
        return self.hours is None or self.hours.has(now)

    def may_fit(self, direction: Direction, method: str) -> bool:
        """Whether any message of this direction and method can fit: what rule tables are made by."""
        if self.direction is not None and self.direction != direction:
            return False
        return self.method is None or self.method.has(method)


ANY: Final = Match()
"""Fits every message."""

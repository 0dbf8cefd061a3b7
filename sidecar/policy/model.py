"""The policy file, format version 1, as pydantic models: what may be written, and nothing else."""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sidecar.document import suggest
from sidecar.events import Direction, Mode, Severity
from sidecar.limits import EXPRESSION_CHARS_MAX, GLOB_CHARS_MAX, RATE_OVER_S_MAX, RATE_WINDOW_ENTRIES_MAX, TEST_STEPS_MAX
from sidecar.policy.where import parse_where

FORMAT_VERSION: Final = 1
PLACEHOLDERS: Final = ("rule", "tool", "server", "kinds")
DEFAULT_ENTRY: Final = "access.default"
"""The rule that a finding of ``access.default`` names; no rule or entry may take this id."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}\Z")
_BETWEEN: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])\Z")
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)\Z")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BRACES: Final = re.compile(r"\{([^{}]*)\}")


def minutes(between: str) -> tuple[int, int]:
    """Start and end of ``HH:MM-HH:MM`` in minutes of the day; raises ValueError where it is none."""
    found = _BETWEEN.match(between)
    start, end = (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])) if found else (0, 0)
    if start == end or start >= 1440 or end > 1440:
        raise ValueError(f"{between[:40]!r} is no stretch of the day; write for example '08:00-18:00' or '22:00-06:00'")
    return start, end


def seconds(duration: str) -> int:
    """``30s``, ``1m``, ``2h`` or ``1d`` in seconds; raises ValueError where it is none or too long."""
    found = _DURATION.match(duration)
    if found is None:
        raise ValueError(f"{duration[:40]!r} is no duration; write for example 30s, 1m or 2h")
    length = int(found[1]) * _UNITS[found[2]]
    if length > RATE_OVER_S_MAX:
        raise ValueError(f"{duration!r} is longer than windows are kept; {RATE_OVER_S_MAX // 3600}h at most")
    return length


def _id(text: str) -> str:
    if not _ID.match(text) or text == DEFAULT_ENTRY:
        raise ValueError(f"{text[:60]!r} is not an id; use letters, digits, '.', '-' and '_', for example secrets.out")
    return text


def _word(text: str) -> str:
    if not _WORD.match(text):
        raise ValueError(f"{text[:60]!r} cannot be written as lists.NAME; use letters, digits and '_'")
    return text


def _between(text: str) -> str:
    minutes(text)
    return text


def _duration(text: str) -> str:
    seconds(text)
    return text


def _where(text: str) -> str:
    parse_where(text)
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError):
        raise ValueError(f"{text[:60]!r} is not a time zone; write for example Europe/Paris or UTC") from None
    return text


def _moment(text: str) -> str:
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise ValueError(f"{text[:40]!r} is no moment; write for example 2026-11-23T09:00:00+00:00")
    return text


def _glob(text: str) -> str:
    if not 0 < len(text) <= GLOB_CHARS_MAX:
        raise ValueError(f"a name or glob has 1 to {GLOB_CHARS_MAX} characters")
    return text


def _message(text: str) -> str:
    for name in _BRACES.findall(text):
        if name not in PLACEHOLDERS:
            near = suggest(name, PLACEHOLDERS)
            raise ValueError(f"{{{name[:40]}}} is not a placeholder{near}; there are {{rule}}, {{tool}}, {{server}} and {{kinds}}")
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Id = Annotated[str, AfterValidator(_id)]
Glob = Annotated[str, AfterValidator(_glob)]
Globs = Annotated[list[Glob], Field(min_length=1), BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Told = Annotated[str, AfterValidator(_message)]
Line = Annotated[str, Field(max_length=300)]
Per = Literal["session", "tool", "server", "user", "method"]
Expr = Annotated[str, Field(min_length=1, max_length=EXPRESSION_CHARS_MAX)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hours(_Model):
    """Some hours of some days."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1
    )
    between: Annotated[str, AfterValidator(_between)] = "00:00-24:00"
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class Match(_Model):
    """All given fields must fit; a value is a glob or a list of globs."""

    server: Globs | None = None
    tool: Globs | None = None
    method: Globs | None = None
    direction: Direction | None = None
    client: Globs | None = None
    user: Globs | None = None
    group: Globs | None = None
    hours: Hours | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Match":
        if not self.model_fields_set:
            raise ValueError("this is empty; give it a field such as 'server:' or 'tool:', or take it out")
        return self


class Entry(_Model):
    """One entry of ``access.allow`` or ``access.deny``."""

    id: Id
    match: Match | None = None
    expr: Expr | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Entry":
        if self.match is None and self.expr is None:
            raise ValueError("an entry needs 'match' or 'expr'; what holds for everyone is 'access.default'")
        return self


class Access(_Model):
    """Who may call what; the only place with allow."""

    default: Literal["allow", "deny"] | None = None
    hide: bool = True
    message: Told = ""
    allow: list[Entry] = []
    deny: list[Entry] = []


class Detect(_Model):
    """At least ``count`` findings of these detectors, optionally of different values, optionally below a path."""

    any: Globs
    confidence: float = Field(default=0.0, ge=0, le=1)
    count: int = Field(default=1, ge=1)
    distinct: bool = False
    where: Annotated[str, AfterValidator(_where)] | None = None


class Rate(_Model):
    """More than ``above`` calls in a sliding window ``over``, this one included."""

    per: Annotated[list[Per], Field(min_length=1), BeforeValidator(_listed)]
    over: Annotated[str, AfterValidator(_duration)]
    above: int = Field(ge=1, lt=RATE_WINDOW_ENTRIES_MAX)


class When(_Model):
    """All given conditions must hold."""

    detect: Detect | None = None
    expr: Expr | None = None
    rate: Rate | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "When":
        if not self.model_fields_set:
            raise ValueError("this is empty; give it 'detect', 'expr' or 'rate', or take it out")
        return self


class Rule(_Model):
    """What is looked for in calls, and what then happens. A rule only makes a verdict stricter."""

    id: Id
    title: Line
    severity: Severity | None = None
    mode: Mode | None = None
    match: Match | None = None
    unless: Match | None = None
    when: When | None = None
    action: Literal["log", "alert", "redact", "block"]
    message: Told = ""
    on_error: Literal["block", "allow"] | None = None
    refs: list[str] = []

    @model_validator(mode="after")
    def _is_whole(self) -> "Rule":
        if self.action == "redact" and (self.when is None or self.when.detect is None):
            raise ValueError("action redact needs 'when.detect': there is nothing to redact otherwise")
        if self.match is None and self.when is None:
            raise ValueError("a rule needs 'match' or 'when'; without either it would hold for every message")
        return self


class Call(_Model):
    """One call of a test: a message as a client sends it, and with ``result`` what the server answers.

    ``direction: response`` turns it round: a request or notification of the server, whose parameters are ``args``.
    ``repeat`` makes the same call that often; calls come 10 ms after one another unless ``at`` says when.
    """

    server: str
    tool: str = ""
    method: str = Field(default="tools/call", min_length=1)
    direction: Direction = "request"
    user: str = ""
    groups: list[str] = []
    client: str = ""
    session: str = "session"
    at: Annotated[str, AfterValidator(_moment)] | None = None
    args: dict[str, Any] = {}
    result: Any = None
    is_error: bool = False
    repeat: int = Field(default=1, ge=1)


class Expect(_Model):
    """What the last step of a test comes to."""

    verdict: Literal["allow", "log", "alert", "redact", "block"]
    rules: list[str] | None = None
    would: list[str] | None = None
    sent: Any = None
    returned: Any = None
    message: str | None = None


class Case(_Model):
    """A call, or several in a row, and what must come of the last."""

    name: Line
    call: Call | None = None
    steps: list[Call] = []
    expect: Expect

    @model_validator(mode="after")
    def _has_one(self) -> "Case":
        if (self.call is None) == (not self.steps):
            raise ValueError("a test needs either 'call' or 'steps'")
        if sum(step.repeat for step in self.steps or [self.call] if step) > TEST_STEPS_MAX:
            raise ValueError(f"a test has {TEST_STEPS_MAX} calls at most")
        return self


class File(_Model):
    """A whole policy file. ``mode`` and ``severity`` are what its rules have unless they say otherwise."""

    version: Literal[1]
    policy: Id
    owner: Line = ""
    description: str = ""
    mode: Mode = "monitor"
    severity: Severity = "medium"
    lists: dict[Annotated[str, AfterValidator(_word)], list[str]] = {}
    access: Access | None = None
    rules: list[Rule] = []
    tests: list[Case] = []

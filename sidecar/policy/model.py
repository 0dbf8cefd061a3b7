"""The policy file, format version 1, as pydantic models: what may be written, and nothing else."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sidecar.events import Direction, Mode, Severity
from sidecar.inventory import LISTED
from sidecar.limits import CUSTOM_REGEX_CHARS_MAX, CUSTOM_WORDS_MAX, NEAR_CHARS_MAX, RATE_WINDOW_ENTRIES_MAX, TEST_STEPS_MAX
from sidecar.policy.fields import (
    Between,
    Duration,
    Expr,
    Globs,
    Id,
    Kind,
    Line,
    Listed,
    Moment,
    OwnName,
    Per,
    Reference,
    Sum,
    Term,
    Told,
    Where,
    Word,
    Zone,
    names_definition,
)

FORMAT_VERSION: Final = 1

Profile = Literal["strict", "default"]


class _PolicyModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HoursSpec(_PolicyModel):
    """Some hours of some days."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1
    )
    between: Between = "00:00-24:00"
    zone: Zone = "UTC"


class MatchSpec(_PolicyModel):
    """All given fields must fit; a value is a glob or a list of globs."""

    server: Globs | None = None
    tool: Globs | None = None
    method: Globs | None = None
    direction: Direction | None = None
    client: Globs | None = None
    user: Globs | None = None
    group: Globs | None = None
    hours: HoursSpec | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "MatchSpec":
        if not self.model_fields_set:
            raise ValueError("this is empty; give it a field such as 'server:' or 'tool:', or take it out")
        return self


class AccessEntrySpec(_PolicyModel):
    """One entry of ``access.allow`` or ``access.deny``."""

    id: Id
    match: MatchSpec | None = None
    expr: Expr | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "AccessEntrySpec":
        if self.match is None and self.expr is None:
            raise ValueError("an entry needs 'match' or 'expr'; what holds for everyone is 'access.default'")
        return self


class AccessSpec(_PolicyModel):
    """Who may call what; the only place with allow."""

    default: Literal["allow", "deny"] | None = None
    hide: bool = True
    message: Told = ""
    allow: list[AccessEntrySpec] = []
    deny: list[AccessEntrySpec] = []


class DetectSpec(_PolicyModel):
    """At least ``count`` findings of these detectors, optionally of different values, optionally below a path.

    ``profile: strict`` also counts credentials that look as if they were written for documentation (``…EXAMPLE``, an
    alphabet, one character over and over), ``default`` does not. Without it, a rule is strict about what leaves for a
    server and uses the default profile for what comes back.
    """

    any: Globs
    profile: Profile | None = None
    confidence: float = Field(default=0.0, ge=0, le=1)
    count: int = Field(default=1, ge=1)
    distinct: bool = False
    where: Where | None = None


class ExactSpec(_PolicyModel):
    """A list of values that ``sidecar exact build`` made of a column of a CSV file; ``key``: ``env:NAME`` or ``file:PATH``."""

    file: str = Field(min_length=1, max_length=1000)
    column: Line
    key: Reference


class CustomDetectorSpec(_PolicyModel):
    """An own kind of data: ``regex`` (RE2), ``keywords`` (whole words in any case) or an ``exact`` list.

    ``kind`` is a family: rules that name it seek this one too. One of the words ``near`` must stand ``within`` that many
    characters of a value; ``checksum`` names the check digits it must have.
    """

    regex: str | None = Field(default=None, min_length=1, max_length=CUSTOM_REGEX_CHARS_MAX)
    keywords: Annotated[list[Term], Field(min_length=1, max_length=CUSTOM_WORDS_MAX), Listed] | None = None
    exact: ExactSpec | None = None
    near: Annotated[list[Term], Field(min_length=1, max_length=CUSTOM_WORDS_MAX), Listed] | None = None
    within: int | None = Field(default=None, ge=1, le=NEAR_CHARS_MAX)
    checksum: Sum | None = None
    confidence: float | None = Field(default=None, gt=0, le=1)
    kind: Kind | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "CustomDetectorSpec":
        given = [name for name in ("regex", "keywords", "exact") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none"
            raise ValueError(f"a detector has one of 'regex', 'keywords' and 'exact', {found}; write one detector for each")
        if self.within is not None and self.near is None:
            raise ValueError("'within' says how far words of 'near' may stand; add 'near', or take it out")
        if self.checksum is not None and self.keywords is not None:
            raise ValueError("keywords have no check digits; take 'checksum' out")
        return self


class RateSpec(_PolicyModel):
    """More than ``above`` calls in a sliding window ``over``, this one included."""

    per: Annotated[list[Per], Field(min_length=1), Listed]
    over: Duration
    above: int = Field(ge=1, lt=RATE_WINDOW_ENTRIES_MAX)


Sign = Literal["changed", "new", "hidden-text", "shadows"]


class WhenSpec(_PolicyModel):
    """All given conditions must hold."""

    detect: DetectSpec | None = None
    definition: Annotated[list[Sign], Field(min_length=1), Listed] | None = None
    expr: Expr | None = None
    rate: RateSpec | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "WhenSpec":
        if not self.model_fields_set:
            raise ValueError("this is empty; give it 'detect', 'expr', 'rate' or 'definition', or take it out")
        return self


class RuleSpec(_PolicyModel):
    """What is looked for in calls, and what then happens. A rule only makes a verdict stricter.

    ``restore`` goes with ``action: tokenize``: the requests in which its tokens turn back into the values.
    """

    id: Id
    title: Line
    severity: Severity | None = None
    mode: Mode | None = None
    match: MatchSpec | None = None
    unless: MatchSpec | None = None
    when: WhenSpec | None = None
    action: Literal["log", "alert", "redact", "tokenize", "block"]
    restore: MatchSpec | None = None
    message: Told = ""
    on_error: Literal["block", "allow"] | None = None
    refs: list[str] = []

    @property
    def is_of_definitions(self) -> bool:
        """Whether it is about each tool or prompt that a list defines, rather than about messages."""
        when = self.when
        return when is not None and (when.definition is not None or (when.expr is not None and names_definition(when.expr)))

    @model_validator(mode="after")
    def _is_whole(self) -> "RuleSpec":
        if self.action in ("redact", "tokenize") and (self.when is None or self.when.detect is None):
            raise ValueError(f"action {self.action} needs 'when.detect': there is nothing to {self.action} otherwise")
        if self.action == "tokenize" and self.is_of_definitions:
            raise ValueError("a definition has no session in which a token turns back; use 'action: redact'")
        if self.restore is not None and self.action != "tokenize":
            raise ValueError("'restore' says where tokens turn back, so it needs 'action: tokenize'; take it out")
        if self.match is None and self.when is None:
            raise ValueError("a rule needs 'match' or 'when'; without either it would hold for every message")
        return self


class CaseDefinition(_PolicyModel):
    """The definition of a listed tool in a test. Without ``previous_digest`` it is the accepted one.

    ``new``: the tool appeared after its server's first lists. ``shadows``: the other servers whose tool has its name.
    """

    digest: Annotated[str, Field(min_length=1)] = "unchanged"
    previous_digest: str | None = None
    description: str = ""
    read_only: bool = False
    destructive: bool = False
    new: bool = False
    shadows: Annotated[list[str], Listed] = []

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "CaseDefinition":
        if self.new and self.previous_digest:
            raise ValueError("what is new has no 'previous_digest'; take one of the two out")
        return self


class CaseCall(_PolicyModel):
    """One call of a test: a message as a client sends it, and with ``result`` what the server answers.

    With ``definition`` it is one entry of the list that the server answers, and ``tool`` is its name.

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
    at: Moment | None = None
    args: dict[str, Any] = {}
    result: Any = None
    is_error: bool = False
    definition: CaseDefinition | None = None
    repeat: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _is_listed(self) -> "CaseCall":
        if self.definition is not None and self.method not in LISTED:
            raise ValueError(f"a definition stands in a list; add 'method: {' or '.join(sorted(LISTED, reverse=True))}'")
        if self.definition is not None and not self.tool:
            raise ValueError("a definition has a name; add 'tool: NAME'")
        return self


class CaseExpect(_PolicyModel):
    """What the last step of a test comes to."""

    verdict: Literal["allow", "log", "alert", "redact", "tokenize", "block"]
    rules: list[str] | None = None
    would: list[str] | None = None
    sent: Any = None
    returned: Any = None
    message: str | None = None


class CaseGiven(_PolicyModel):
    """What a test takes for granted: the values of ``exact`` lists, by detector. Lists not named hold nothing in a test."""

    exact: dict[str, list[str]] = {}


class Case(_PolicyModel):
    """A call, or several in a row, and what must come of the last."""

    name: Line
    given: CaseGiven = CaseGiven()
    call: CaseCall | None = None
    steps: list[CaseCall] = []
    expect: CaseExpect

    @property
    def all_steps(self) -> list[CaseCall]:
        """The calls in their order, whether one was written or several."""
        return self.steps if self.call is None else [self.call]

    @model_validator(mode="after")
    def _has_one(self) -> "Case":
        if (self.call is None) == (not self.steps):
            raise ValueError("a test needs either 'call' or 'steps'")
        if sum(step.repeat for step in self.all_steps) > TEST_STEPS_MAX:
            raise ValueError(f"a test has {TEST_STEPS_MAX} calls at most")
        return self


class File(_PolicyModel):
    """A whole policy file. ``mode`` and ``severity`` are what its rules have unless they say otherwise."""

    version: Literal[1]
    policy: Id
    owner: Line = ""
    description: str = ""
    mode: Mode = "monitor"
    severity: Severity = "medium"
    lists: dict[Word, list[str]] = {}
    detectors: dict[OwnName, CustomDetectorSpec] = {}
    access: AccessSpec | None = None
    rules: list[RuleSpec] = []
    tests: list[Case] = []

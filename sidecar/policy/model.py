"""The policy file, format version 1, as pydantic models: what may be written, and nothing else."""

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, create_model, model_validator

from sidecar.events import Direction, Mode, Severity
from sidecar.limits import CUSTOM_REGEX_CHARS_MAX, CUSTOM_WORDS_MAX, NEAR_CHARS_MAX
from sidecar.policy.base_model import PolicyModel
from sidecar.policy.case_model import Case
from sidecar.policy.conditions.protocol import Condition, Conditions
from sidecar.policy.fields import (
    Between,
    CustomName,
    Expr,
    Globs,
    Id,
    Kind,
    Line,
    Listed,
    Reference,
    RefusalText,
    Sum,
    Term,
    Word,
    Zone,
)

FORMAT_VERSION: Final = 1


class HoursSpec(PolicyModel):
    """Some hours of some days."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1
    )
    between: Between = "00:00-24:00"
    zone: Zone = "UTC"


class MatchSpec(PolicyModel):
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
    def _is_not_empty(self) -> "MatchSpec":
        if not self.model_fields_set:
            raise ValueError("this is empty; give it a field such as 'server:' or 'tool:', or remove it")
        return self


class AccessEntrySpec(PolicyModel):
    """One entry of ``access.allow`` or ``access.deny``."""

    id: Id
    match: MatchSpec | None = None
    expr: Expr | None = None

    @model_validator(mode="after")
    def _is_not_empty(self) -> "AccessEntrySpec":
        if self.match is None and self.expr is None:
            raise ValueError("an entry needs 'match' or 'expr'; for everyone, set 'access.default'")
        return self


class AccessSpec(PolicyModel):
    """Who may call what; the only place with allow."""

    default: Literal["allow", "deny"] | None = None
    hide: bool = True
    message: RefusalText = ""
    allow: list[AccessEntrySpec] = Field(default_factory=list)
    deny: list[AccessEntrySpec] = Field(default_factory=list)


class ExactSpec(PolicyModel):
    """A list of values that ``sidecar exact build`` made of a column of a CSV file; ``key``: ``env:NAME`` or ``file:PATH``."""

    file: str = Field(min_length=1, max_length=1000)
    column: Line
    key: Reference


class CustomDetectorSpec(PolicyModel):
    """A custom kind of data: ``regex`` (RE2), ``keywords`` (whole words in any case) or an ``exact`` list.

    ``kind`` is a family: rules that name it look for this one too. One of the words ``near`` must be ``within`` that many
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
            raise ValueError("'within' is the distance to words of 'near'; add 'near', or remove it")
        if self.checksum is not None and self.keywords is not None:
            raise ValueError("keywords have no check digits; remove 'checksum'")
        return self


class WhenSpec(PolicyModel):
    """All given conditions must hold. ``file_model`` makes it a field for each condition of a table."""

    conditions: ClassVar[Conditions] = ()

    def given(self) -> Iterator[tuple[type[Condition[Any]], Any]]:
        """The conditions that are written here, each with its spec, in the order of the table."""
        for condition in self.conditions:
            if (spec := getattr(self, condition.name)) is not None:
                yield condition, spec

    @model_validator(mode="after")
    def _is_not_empty(self) -> "WhenSpec":
        if not self.model_fields_set:
            *names, last = [f"'{each.name}'" for each in self.conditions]
            raise ValueError(f"this is empty; give it {', '.join(names)} or {last}, or remove it")
        return self


class RuleSpec(PolicyModel):
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
    message: RefusalText = ""
    on_error: Literal["block", "allow"] | None = None
    refs: list[str] = Field(default_factory=list)

    @property
    def given(self) -> tuple[tuple[type[Condition[Any]], Any], ...]:
        """The conditions of ``when``, each with its spec."""
        return tuple(self.when.given()) if self.when is not None else ()

    @property
    def is_of_definitions(self) -> bool:
        """Whether it is about each tool or prompt that a list defines, rather than about messages."""
        return any(condition.is_about_definitions(spec) for condition, spec in self.given)

    @model_validator(mode="after")
    def _is_whole(self) -> "RuleSpec":
        if self.action in ("redact", "tokenize") and not any(condition.finds_values for condition, _ in self.given):
            raise ValueError(f"action {self.action} needs 'when.detect': there is nothing to {self.action} otherwise")
        if self.action == "tokenize" and self.is_of_definitions:
            raise ValueError("a definition has no session in which a token is restored; use 'action: redact'")
        if self.restore is not None and self.action != "tokenize":
            raise ValueError("'restore' names where tokens are restored, so it needs 'action: tokenize'; remove it")
        if self.match is None and self.when is None:
            raise ValueError("a rule needs 'match' or 'when'; without either it would hold for every message")
        return self


class File(PolicyModel):
    """A whole policy file. ``mode`` and ``severity`` are what its rules have unless they say otherwise."""

    version: Literal[1]
    policy: Id
    owner: Line = ""
    description: str = ""
    mode: Mode = "monitor"
    severity: Severity = "medium"
    lists: dict[Word, list[str]] = Field(default_factory=dict)
    detectors: dict[CustomName, CustomDetectorSpec] = Field(default_factory=dict)
    access: AccessSpec | None = None
    rules: list[RuleSpec] = Field(default_factory=list)
    tests: list[Case] = Field(default_factory=list)


@cache
def file_model(conditions: Conditions) -> type[File]:
    """``File`` with a field of ``when`` for each of ``conditions``."""
    fields: dict[str, Any] = {each.name: (each.spec | None, None) for each in conditions}
    when: Any = create_model("WhenSpec", __base__=WhenSpec, **fields)
    when.conditions = conditions
    rule = create_model("RuleSpec", __base__=RuleSpec, when=(when | None, None))
    return create_model("File", __base__=File, rules=(list[rule], Field(default_factory=list)))  # type: ignore[valid-type]

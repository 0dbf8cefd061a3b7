"""The tests inside a policy file as pydantic models: a call or several, and what must come of the last."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sidecar.events import Direction
from sidecar.inventory import LISTED
from sidecar.limits import TEST_STEPS_MAX
from sidecar.methods import TOOLS_CALL
from sidecar.policy.base_model import PolicyModel
from sidecar.policy.fields import Line, Listed, Moment


class CaseDefinition(PolicyModel):
    """The definition of a listed tool in a test. Without ``previous_digest`` it is the accepted one.

    ``new``: the tool appeared after its server's first lists. ``shadows``: the other servers whose tool has its name.
    """

    digest: Annotated[str, Field(min_length=1)] = "unchanged"
    previous_digest: str | None = None
    description: str = ""
    read_only: bool = False
    destructive: bool = False
    new: bool = False
    shadows: Annotated[list[str], Listed] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "CaseDefinition":
        if self.new and self.previous_digest:
            raise ValueError("what is new has no 'previous_digest'; remove one of the two")
        return self


class CaseCall(PolicyModel):
    """One call of a test: a message as a client sends it, and with ``result`` what the server answers.

    With ``definition`` it is one entry of the list that the server answers, and ``tool`` is its name.

    ``direction: response`` turns it round: a request or notification of the server, whose parameters are ``args``.
    ``repeat`` makes the same call that often; calls come 10 ms after one another unless ``at`` says when.
    """

    server: str
    tool: str = ""
    method: str = Field(default=TOOLS_CALL, min_length=1)
    direction: Direction = "request"
    user: str = ""
    groups: list[str] = Field(default_factory=list)
    client: str = ""
    session: str = "session"
    at: Moment | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    result: Any = None
    is_error: bool = False
    definition: CaseDefinition | None = None
    repeat: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _is_listed(self) -> "CaseCall":
        if self.definition is not None and self.method not in LISTED:
            raise ValueError(f"a definition comes in a list; add 'method: {' or '.join(sorted(LISTED, reverse=True))}'")
        if self.definition is not None and not self.tool:
            raise ValueError("a definition has a name; add 'tool: NAME'")
        return self


class CaseExpect(PolicyModel):
    """What the last step of a test comes to."""

    verdict: Literal["allow", "log", "alert", "redact", "tokenize", "block"]
    rules: list[str] | None = None
    would: list[str] | None = None
    sent: Any = None
    returned: Any = None
    message: str | None = None


class CaseGiven(PolicyModel):
    """What a test takes for granted: the values of ``exact`` lists, by detector. Lists not named hold nothing in a test."""

    exact: dict[str, list[str]] = Field(default_factory=dict)


class Case(PolicyModel):
    """A call, or several in a row, and what must come of the last."""

    name: Line
    given: CaseGiven = CaseGiven()
    call: CaseCall | None = None
    steps: list[CaseCall] = Field(default_factory=list)
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
            raise ValueError(f"a test has at most {TEST_STEPS_MAX} calls")
        return self

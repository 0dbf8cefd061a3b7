"""``when.definition``: a tool or prompt whose definition has changed, is new, hides text, or shadows another's name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from sidecar.errors import Problem
from sidecar.events import Direction
from sidecar.policy.conditions.protocol import Condition, Evidence, Explanation, SpecPlace, Subject, Vocabulary
from sidecar.policy.facts import Unjudged
from sidecar.policy.fields import Listed

Sign = Literal["changed", "new", "hidden-text", "shadows"]


@dataclass(frozen=True, slots=True)
class DefinitionCondition(Condition[Sequence[Sign]]):
    """The definition at hand has one of these signs."""

    name: ClassVar[str] = "definition"
    spec: ClassVar[Any] = Annotated[list[Sign], Field(min_length=1), Listed]
    cost: ClassVar[int] = 1
    direction: ClassVar[Direction | None] = "response"

    signs: tuple[Sign, ...]

    @classmethod
    def is_about_definitions(cls, spec: Sequence[Sign]) -> bool:
        """Always."""
        return True

    @classmethod
    def compile(cls, spec: Sequence[Sign], place: SpecPlace, vocabulary: Vocabulary) -> tuple[Self | None, tuple[Problem, ...]]:
        """Its form says all that can be wrong."""
        return cls(tuple(spec)), ()

    def hold(self, subject: Subject) -> Evidence | None:
        """One finding for each sign that the definition has.

        Raises:
            Unjudged: it has none of them as far as is known, but not all is known.
        """
        definition = subject.facts.message.definition
        if definition is None:
            return None
        found = {f"definition.{sign}": definition.signs[sign] for sign in self.signs if sign in definition.signs}
        if found:
            return Evidence(kinds=found)
        if not definition.unknown.isdisjoint(self.signs):
            raise Unjudged("the definition is too long or too deep to be looked at")
        return None

    def explain(self, subject: Subject) -> Explanation:
        """The signs that it has, or those that were asked for."""
        evidence = self.hold(subject)
        if evidence is not None:
            return Explanation(True, f"found {', '.join(evidence.kinds)}")
        if subject.facts.message.definition is None:
            return Explanation(False, "this message is no definition of a tool or prompt")
        return Explanation(False, f"the definition is not {' or '.join(self.signs)}")

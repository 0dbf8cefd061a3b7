"""``when.expr``: a CEL expression that is true of the message."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sidecar.document import Document
from sidecar.errors import Problem
from sidecar.events import Direction, Path
from sidecar.policy.conditions.protocol import HOLDS, Condition, Evidence, Explanation, SpecPlace, Subject, Vocabulary
from sidecar.policy.expr import Expression, Scope
from sidecar.policy.fields import Expr, names_definition


@dataclass(frozen=True, slots=True)
class ExpressionCondition(Condition[str]):
    """The expression is true. It is evaluated last, as the most expensive."""

    name: ClassVar[str] = "expr"
    spec: ClassVar[Any] = Expr
    cost: ClassVar[int] = 3
    finding_kind: ClassVar[str] = "expr"

    expression: Expression

    @classmethod
    def is_about_definitions(cls, spec: str) -> bool:
        """Whether it reads ``definition.*``."""
        return names_definition(spec)

    @classmethod
    def compile(cls, spec: str, place: SpecPlace, vocabulary: Vocabulary) -> tuple[Self | None, tuple[Problem, ...]]:
        """Every mistake that the compiler names; arguments that may be missing are warned of."""
        expression, problems = compile_expression(spec, vocabulary.scope, place.document, place.path, place.direction)
        return (None if expression is None else cls(expression)), problems

    def hold(self, subject: Subject) -> Evidence | None:
        """As ``Expression.holds``.

        Raises:
            Unjudged: it has no value for this message.
        """
        return HOLDS if self.expression.holds(subject.facts) else None

    def explain(self, subject: Subject) -> Explanation:
        """What it comes to; when it is false, also which arguments it reads that the call does not have."""
        if self.expression.holds(subject.facts):
            return Explanation(True, "the expression is true")
        missing = [key for key in self.expression.keys or () if key not in subject.facts.message.args]
        text = "the expression is false"
        return Explanation(False, f"{text}; the call has no argument {', '.join(missing)}" if missing else text)


def compile_expression(
    text: str, scope: Scope, document: Document, path: Path, direction: Direction
) -> tuple[Expression | None, tuple[Problem, ...]]:
    """An expression that stands at ``path``, and what is wrong with it: errors, or else warnings."""
    expression, mistakes = scope.compile(text, direction)
    errors = [document.problem(path, "expr", each) for each in mistakes]
    return expression, (*errors, *_warn_unguarded(expression, document, path))


def _warn_unguarded(expression: Expression | None, document: Document, path: Path) -> Iterator[Problem]:
    for key in expression.unguarded if expression else ():
        text = f"'{key}' may be missing, and then the expression is false; say so with has(call.args.{key}) && ..."
        yield document.problem(path, "missing-key", text, is_warning=True)

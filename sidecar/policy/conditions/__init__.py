"""The conditions that ``when`` of a rule can have: one file and one line of ``CONDITIONS`` for each."""

from collections.abc import Iterable
from typing import Any, Final

from sidecar.policy.conditions.definition import DefinitionCondition
from sidecar.policy.conditions.detect import DetectCondition
from sidecar.policy.conditions.expression import ExpressionCondition
from sidecar.policy.conditions.protocol import Condition, Conditions
from sidecar.policy.conditions.rate import RateCondition

CONDITIONS: Final[Conditions] = (DetectCondition, ExpressionCondition, RateCondition, DefinitionCondition)
"""All of them, in the order in which messages list them."""


def in_order(conditions: Iterable[Condition[Any]]) -> tuple[Condition[Any], ...]:
    """The conditions of one rule in the order of evaluation: the cheap ones first."""
    return tuple(sorted(conditions, key=lambda each: each.cost))

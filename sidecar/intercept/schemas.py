"""Whether a mark may stand where a value was, by what the tool promised of its results (JSON Schema 2020-12).

The schema comes from a server, so it is not run: no pattern is matched, no reference leaves it, and the walk is bounded by
the path to the value. Where it constrains the text at that place in any way a mark may not satisfy, the answer is no.
"""

from collections.abc import Iterable
from typing import Any, Final

from sidecar import limits
from sidecar.events import Path, Span

_BOUND_TO_FAIL: Final = frozenset(("enum", "const", "pattern", "format", "maxLength", "contentEncoding"))
_NOT_FOLLOWED: Final = frozenset(("not", "if", "patternProperties", "dependentSchemas", "unevaluatedProperties", "$dynamicRef"))


def allows_marks(schema: Any, spans: Iterable[Span]) -> bool:
    """Whether a tool result whose ``structuredContent`` has marks in place of ``spans`` still satisfies ``schema``."""
    return all(_allows(schema, span) for span in spans if span.leaf.path[:2] == ("result", "structuredContent"))


def _allows(schema: Any, span: Span) -> bool:
    return not span.leaf.is_key and _Walk(schema).allows(schema, span.leaf.path[2:])


class _Walk:
    """One way down a schema, with a bound on its steps."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps_left = limits.SCHEMA_STEPS_MAX

    def allows(self, schema: Any, path: Path) -> bool:
        """Whether any text may stand at ``path`` below ``schema``."""
        self._steps_left -= 1
        if not isinstance(schema, dict):
            return schema is True
        if self._steps_left <= 0 or not _NOT_FOLLOWED.isdisjoint(schema):
            return False
        if "$ref" in schema and not self.allows(self._target(schema["$ref"]), path):
            return False
        if not all(self.allows(each, path) for each in _listed(schema, "allOf")):
            return False
        for name in ("anyOf", "oneOf"):
            if name in schema and not any(self.allows(each, path) for each in _listed(schema, name)):
                return False
        return self._allows_below(schema, path) if path else _is_free_text(schema)

    def _allows_below(self, schema: dict[str, Any], path: Path) -> bool:
        step, rest = path[0], path[1:]
        if isinstance(step, int):
            first = _listed(schema, "prefixItems")
            below = first[step] if step < len(first) else schema.get("items", True)
            return self.allows(below, rest)
        properties = schema.get("properties")
        if isinstance(properties, dict) and step in properties:
            return self.allows(properties[step], rest)
        return self.allows(schema.get("additionalProperties", True), rest)

    def _target(self, reference: Any) -> Any:
        """What a reference within the schema names; anything else allows nothing."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return False
        found = self._root
        for step in reference[1:].strip("/").split("/") if len(reference) > 1 else ():
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                return False
            found = found[name]
        return found


def _is_free_text(schema: dict[str, Any]) -> bool:
    kinds = schema.get("type", "string")
    return _BOUND_TO_FAIL.isdisjoint(schema) and "string" in (kinds if isinstance(kinds, list) else [kinds])


def _listed(schema: dict[str, Any], name: str) -> list[Any]:
    value = schema.get(name, [])
    return value if isinstance(value, list) else [False]

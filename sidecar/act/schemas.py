"""Whether a value satisfies a JSON Schema, by a walk with a bound on its steps (JSON Schema 2020-12; draft 7 where it differs).

The schema comes from a server, so it is walked and never run: a reference that leaves it is not followed, a pattern is matched
in linear time by RE2, and what this walk does not know is no yes.
"""

from collections.abc import Iterator
from typing import Any, Final

import re2

from sidecar import limits
from sidecar.act.formats import has_format
from sidecar.events import Path

_UNKNOWN: Final = frozenset(
    ("$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems", "dependencies", "additionalItems")
)
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,), "boolean": (bool,), "null": (type(None),), "object": (dict,), "array": (list,)
}  # fmt: skip
_LISTS: Final = ("enum", "required", "patternProperties")
"""What is gone through as a whole at every look, and so costs a step for each entry."""
_DEPTH_MAX: Final = 80
_UNIQUE_MAX: Final = 200

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = limits.MIB


class CannotTell(Exception):
    """The schema says something this walk does not know, or is too large to be walked."""


class Walk:
    """One schema, and how many more steps may be taken in it."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._steps_left = limits.SCHEMA_STEPS_MAX

    def holds(self, schema: Any, value: Any, way: Path | None = None, depth: int = 0) -> bool:
        """Whether ``value`` satisfies ``schema``. With a ``way``, only what stands on the way to that place is looked at.

        Raises:
            CannotTell: see there.
        """
        schema = self._known(schema, depth)
        if isinstance(schema, bool):
            return schema
        self._steps_left -= len(value) // limits.KIB if isinstance(value, str) else 0
        return (
            _holds_itself(schema, value)
            and self._holds_combined(schema, value, way, depth + 1)
            and self._holds_below(schema, value, way, depth + 1)
        )

    def speaking_of(self, schema: Any, way: Path, depth: int = 0) -> Iterator[dict[str, Any]]:
        """Every schema below ``schema`` that may speak of the value at ``way``, whether or not it does."""
        schema = self._known(schema, depth)
        if isinstance(schema, bool):
            return
        if not way:
            yield schema
        branches = [each for name in ("allOf", "anyOf", "oneOf") for each in _listed(schema, name)]
        branches += [schema[name] for name in ("then", "else") if name in schema]
        if "$ref" in schema:
            branches.append(self._target(schema["$ref"]))
        for branch in branches:
            yield from self.speaking_of(branch, way, depth + 1)
        if way:
            for below in _below(schema, way[0]):
                yield from self.speaking_of(below, way[1:], depth + 1)

    def _known(self, schema: Any, depth: int) -> dict[str, Any] | bool:
        self._steps_left -= 1
        if isinstance(schema, dict):
            self._steps_left -= sum(len(schema[name]) for name in _LISTS if isinstance(schema.get(name), list | dict))
        if self._steps_left < 0 or depth > _DEPTH_MAX or not isinstance(schema, bool | dict):
            raise CannotTell
        if isinstance(schema, dict) and not _UNKNOWN.isdisjoint(schema):
            raise CannotTell
        return schema

    def _holds_combined(self, schema: dict[str, Any], value: Any, way: Path | None, depth: int) -> bool:
        if "$ref" in schema and not self.holds(self._target(schema["$ref"]), value, way, depth):
            return False
        if not all(self.holds(each, value, way, depth) for each in _listed(schema, "allOf")):
            return False
        # Which branch of a choice holds may turn on anything below, so here everything is looked at.
        if "anyOf" in schema and not any(self.holds(each, value, None, depth) for each in _listed(schema, "anyOf")):
            return False
        if "oneOf" in schema and sum(self.holds(each, value, None, depth) for each in _listed(schema, "oneOf")) != 1:
            return False
        if "not" in schema and self.holds(schema["not"], value, None, depth):
            return False
        if "if" not in schema:
            return True
        return self.holds(
            schema.get("then" if self.holds(schema["if"], value, None, depth) else "else", True), value, way, depth
        )

    def _holds_below(self, schema: dict[str, Any], value: Any, way: Path | None, depth: int) -> bool:
        if isinstance(value, dict):
            for name, each in _mapping(schema, "dependentSchemas").items():
                if name in value and not self.holds(each, value, None, depth):
                    return False
            if "propertyNames" in schema and not all(self.holds(schema["propertyNames"], name, None, depth) for name in value):
                return False
        elif isinstance(value, list):
            if "contains" in schema and not self._has_contained(schema, value, depth):
                return False
        else:
            return True
        steps: Any = (way[0],) if way else (value if isinstance(value, dict) else range(len(value)))
        rest = way[1:] if way else None
        return all(self.holds(below, value[step], rest, depth) for step in steps for below in _below(schema, step))

    def _has_contained(self, schema: dict[str, Any], value: list[Any], depth: int) -> bool:
        count = sum(self.holds(schema["contains"], each, None, depth) for each in value)
        return bool(schema.get("minContains", 1) <= count <= schema.get("maxContains", count))

    def _target(self, reference: Any) -> Any:
        """What a reference within the schema names (RFC 6901); no other is followed."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise CannotTell
        found = self.root
        for step in reference[2:].split("/") if len(reference) > 1 else ():
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, dict) and name in found:
                found = found[name]
            else:
                raise CannotTell
        return found


def _holds_itself(schema: dict[str, Any], value: Any) -> bool:
    """What a schema says of a value by itself, not of what is below it."""
    if "const" in schema and not _is_same(schema["const"], value):
        return False
    if "enum" in schema and not any(_is_same(each, value) for each in _listed(schema, "enum")):
        return False
    kinds = schema.get("type")
    if kinds is not None and not any(_is_of(each, value) for each in (kinds if isinstance(kinds, list) else [kinds])):
        return False
    if isinstance(value, str):
        return _is_within(schema, len(value), "minLength", "maxLength") and _is_text_of(schema, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _is_number_of(schema, value)
    if isinstance(value, list):
        return _is_unique_enough(schema, value) and _is_within(schema, len(value), "minItems", "maxItems")
    if isinstance(value, dict):
        needed = [*_listed(schema, "required")]
        needed += [each for name, more in _mapping(schema, "dependentRequired").items() if name in value for each in more]
        return all(each in value for each in needed) and _is_within(schema, len(value), "minProperties", "maxProperties")
    return True


def _is_unique_enough(schema: dict[str, Any], value: list[Any]) -> bool:
    if not schema.get("uniqueItems"):
        return True
    if len(value) > _UNIQUE_MAX:
        raise CannotTell
    return not any(_is_same(one, other) for number, one in enumerate(value) for other in value[:number])


def _is_text_of(schema: dict[str, Any], text: str) -> bool:
    if "contentEncoding" in schema or "contentSchema" in schema:
        raise CannotTell
    if "pattern" in schema and not _matches(schema["pattern"], text):
        return False
    return has_format(schema.get("format"), text)


def _is_number_of(schema: dict[str, Any], number: float) -> bool:
    if not _is_within(schema, number, "minimum", "maximum"):
        return False
    above, below, step = (_number(schema, name) for name in ("exclusiveMinimum", "exclusiveMaximum", "multipleOf"))
    if (above is not None and number <= above) or (below is not None and number >= below):
        return False
    return step is None or (step > 0 and number % step == 0)


def _is_within(schema: dict[str, Any], number: float, low: str, high: str) -> bool:
    least, most = _number(schema, low), _number(schema, high)
    return (least is None or number >= least) and (most is None or number <= most)


def _number(schema: dict[str, Any], name: str) -> float | None:
    value = schema.get(name)
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise CannotTell
    return value


def _is_of(kind: Any, value: Any) -> bool:
    if kind in ("number", "integer"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (kind == "number" or isinstance(value, int) or value.is_integer())
    if kind not in _TYPES:
        raise CannotTell
    return isinstance(value, _TYPES[kind])


def _is_same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _matches(pattern: Any, text: str) -> bool:
    if not isinstance(pattern, str) or len(pattern) > limits.SCHEMA_PATTERN_CHARS_MAX:
        raise CannotTell
    try:
        return re2.search(pattern, text, _OPTIONS) is not None
    except (re2.error, UnicodeEncodeError):
        raise CannotTell from None


def _below(schema: dict[str, Any], step: str | int) -> list[Any]:
    """The schemas that speak of one member of a container."""
    if isinstance(step, int):
        items = schema.get("items", True)
        first = items if isinstance(items, list) else _listed(schema, "prefixItems")
        return [first[step] if step < len(first) else (True if isinstance(items, list) else items)]
    found = [each for pattern, each in _mapping(schema, "patternProperties").items() if _matches(pattern, step)]
    properties = _mapping(schema, "properties")
    if step in properties:
        found.append(properties[step])
    return found or [schema.get("additionalProperties", True)]


def _listed(schema: dict[str, Any], name: str) -> list[Any]:
    value = schema.get(name, [])
    if not isinstance(value, list):
        raise CannotTell
    return value


def _mapping(schema: dict[str, Any], name: str) -> dict[str, Any]:
    value = schema.get(name, {})
    if not isinstance(value, dict):
        raise CannotTell
    return value

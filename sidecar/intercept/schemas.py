"""Whether a result that was changed still is what its tool promised (JSON Schema 2020-12)."""

from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

_NOTHING_REMOTE: Registry[Any] = Registry()
"""A schema comes from a server; its references may not make us ask any address."""


def still_valid(schema: dict[str, Any], raw: bytes) -> bool:
    """Whether the ``structuredContent`` of a tool result satisfies the tool's ``outputSchema``.

    Clients throw a result away that does not. A schema that is itself wrong promises nothing.
    """
    result = orjson.loads(raw).get("result")
    if not isinstance(result, dict) or "structuredContent" not in result:
        return True
    try:
        Draft202012Validator.check_schema(schema)
        return bool(Draft202012Validator(schema, registry=_NOTHING_REMOTE).is_valid(result["structuredContent"]))
    except (SchemaError, Unresolvable, RecursionError):
        return True

"""Lists as one caller may see them: without what access denies it, and kept no longer than a policy may change."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

from sidecar import limits
from sidecar.decode import lossless, mcp
from sidecar.events import Message
from sidecar.methods import MEMBER_METHODS


def output_schemas(method: str, payload: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Tools of a list and what each promises about its structured results."""
    key, entries = mcp.listed(method, payload)
    if key == "tools":
        for entry in entries:
            if isinstance(entry, dict) and isinstance(entry.get("outputSchema"), dict):
                yield str(entry.get("name", "")), entry["outputSchema"]


def without_denied(
    raw: bytes, message: Message, is_listed: Callable[[Message], bool], withheld: Collection[int] = ()
) -> tuple[bytes, int]:
    """A list result, given as bytes, without what the caller may not use or is ``withheld``, and how many entries that were.

    ``is_listed`` is asked with the call the caller could make. A list nothing is taken from keeps its bytes.
    """
    key, entries = mcp.listed(message.method, message.payload)
    if not key:
        return raw, 0
    method = MEMBER_METHODS[key]

    def may_use(entry: Any) -> bool:
        subject = entry.get(method.subject) if isinstance(entry, dict) else None
        asked = replace(message, direction="request", kind="request", method=method.name, args={}, payload=None, size=0)
        return is_listed(replace(asked, tool=subject if isinstance(subject, str) else ""))

    kept = [index for index, entry in enumerate(entries) if index not in withheld and may_use(entry)]
    if len(kept) == len(entries):
        return raw, 0
    value = lossless.loads(raw.decode("utf-8", "replace").removeprefix("\ufeff"))
    value["result"][key] = [value["result"][key][index] for index in kept]
    return lossless.dumps(value), len(entries) - len(kept)


def kept_briefly(raw: bytes, payload: Any) -> bytes:
    """A result that a policy changed, made one that no other caller is given and that is asked for again soon.

    Results say how long and for whom they may be kept (``ttlMs``, ``cacheScope``; MCP 2026-07-28, caching). Both stay.
    """
    result = payload.get("result") if isinstance(payload, dict) else None
    if not isinstance(result, dict) or not ("ttlMs" in result or "cacheScope" in result):
        return raw
    value = lossless.loads(raw.decode("utf-8", "replace").removeprefix("\ufeff"))
    ttl = result.get("ttlMs")
    if isinstance(ttl, int | float) and ttl > limits.LIST_TTL_MS_MAX:
        value["result"]["ttlMs"] = limits.LIST_TTL_MS_MAX
    value["result"]["cacheScope"] = "private"
    return lossless.dumps(value)

"""Lists as one caller may see them, and the headers that repeat a body."""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from sidecar import limits
from sidecar.act.redact import Replace, marked
from sidecar.decode import lossless, mcp
from sidecar.events import Message, Span
from sidecar.methods import MEMBER_METHODS

_SENTINEL: Final = ("=?base64?", "?=")
_ENCODED: Final = re.compile(r"=\?base64\?([A-Za-z0-9+/=]*)\?=")


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


def mirrored_headers(headers: Mapping[str, str], redactions: Iterable[Span], mark: Replace) -> dict[str, str]:
    """The ``Mcp-Name`` and ``Mcp-Param-*`` headers to replace, because they repeat a replaced value (MCP 2026-07-28)."""
    mirrors = {name: _decoded(value) for name, value in headers.items() if _is_mirror(name)}
    if not mirrors:
        return {}
    redactions = list(redactions)
    texts = {span.leaf.path: span.leaf.text for span in redactions}
    # A header repeats a whole value, so it becomes what that value becomes; only where it repeats none it is searched.
    whole = {texts[path]: new for path, new in marked(redactions, mark).items()}
    changed: dict[str, str] = {}
    for name, before in mirrors.items():
        text = whole.get(before, before)
        for span in redactions if text == before else ():
            text = text.replace(span.stretch, mark(span))
        if text != before:
            changed[name] = _encoded(text)
    return changed


def is_mismatched(headers: Mapping[str, str], facts: mcp.MessageFields) -> bool:
    """Whether headers that repeat what a message says of itself say something else; modern servers then refuse it."""
    method, name = headers.get("mcp-method"), headers.get("mcp-name")
    return (method is not None and method != facts.method) or (name is not None and _decoded(name) != facts.tool)


def unmirrored(headers: Mapping[str, str], payload: Any) -> list[str]:
    """What stands in headers that repeat a body and is not in the body: it would travel past whoever reads only that."""
    mirrors = [value for name, value in headers.items() if _is_mirror(name)]
    if not mirrors:
        return []
    said = lossless.canonical(payload)
    return [text for text in map(_decoded, mirrors) if lossless.canonical(text)[1:-1] not in said]


def _is_mirror(name: str) -> bool:
    return name == "mcp-name" or name.startswith("mcp-param-")


def _decoded(value: str) -> str:
    """A header's text with every encoded part plain; a header that stands twice has two such parts."""
    return _ENCODED.sub(_plain, value) if _SENTINEL[0] in value else value


def _plain(found: re.Match[str]) -> str:
    try:
        return base64.b64decode(found[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return found[0]


def _encoded(text: str) -> str:
    is_plain = text.isascii() and text.isprintable() and text == text.strip() and not text.startswith(_SENTINEL[0])
    return text if is_plain else _SENTINEL[0] + base64.b64encode(text.encode()).decode() + _SENTINEL[1]

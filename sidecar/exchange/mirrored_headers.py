"""Headers that repeat what stands in a body: ``Mcp-Method``, ``Mcp-Name`` and ``Mcp-Param-*`` (MCP 2026-07-28, transports)."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sidecar.act.redact import Replace, marked
from sidecar.decode import lossless, mcp
from sidecar.events import Span

_SENTINEL: Final = ("=?base64?", "?=")
_ENCODED: Final = re.compile(r"=\?base64\?([A-Za-z0-9+/=]*)\?=")


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

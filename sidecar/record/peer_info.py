"""What a message says of its sender and of itself, as columns and attributes of a call's row.

Everything here is taken from payloads as they are recorded, so a secret in a name is masked; and it is what peers say of
themselves, so no rule may rest on it.
"""

from collections.abc import Mapping
from typing import Any, Final

from sidecar import limits
from sidecar.methods import HANDSHAKES, INITIALIZE

_META: Final = "io.modelcontextprotocol/"
_NOTHING: Final[dict[str, str]] = {}


def of_request(method: str, said: Any) -> dict[str, str]:
    """Attributes from a request: what its client can do (``initialize``, or every request of 2026-07-28)."""
    params = said.get("params") if isinstance(said, dict) else None
    if not isinstance(params, dict):
        return _NOTHING
    if method == INITIALIZE:
        able = params.get("capabilities")
    else:
        meta = params.get("_meta")
        able = meta.get(_META + "clientCapabilities") if isinstance(meta, dict) else None
    text = _capabilities(able)
    return {"client_capabilities": text} if text else _NOTHING


def of_answer(method: str, said: Any) -> tuple[str, dict[str, str]]:
    """From an answer: its ``resultType``, and as attributes who the server says it is and what it can do."""
    result = said.get("result") if isinstance(said, dict) else None
    if not isinstance(result, dict):
        return "", _NOTHING
    attributes: dict[str, str] = {}
    kind = result.get("resultType")
    result_type = kind[: limits.WORD_CHARS_MAX] if isinstance(kind, str) else ""
    meta = result.get("_meta")
    info = meta.get(_META + "serverInfo") if isinstance(meta, dict) else None
    if method in HANDSHAKES:
        info = info or result.get("serverInfo")
        if text := _capabilities(result.get("capabilities")):
            attributes["server_capabilities"] = text
    if isinstance(info, dict):
        attributes["server_info"] = f"{info.get('name', '')} {info.get('version', '')}"[: limits.WORD_CHARS_MAX].strip()
    return result_type, attributes


def _capabilities(able: Any) -> str:
    """Names of capabilities, with what is said of each: ``elicitation.form, roots.listChanged, sampling``."""
    if not isinstance(able, Mapping):
        return ""
    names = []
    for name in sorted(able):
        more = able[name]
        inner = sorted(each for each, value in more.items() if value is not False) if isinstance(more, Mapping) else []
        names += [f"{name}.{each}" for each in inner] or [name]
    return ", ".join(names)[: limits.NAME_CHARS_MAX]

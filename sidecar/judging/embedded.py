"""Requests of a server that stand inside a result, and a client's answers to them inside the next request (MCP 2026-07-28).

Where earlier revisions had messages of their own for sampling, elicitation and roots, this one embeds them (multi-round
requests). They are judged as the messages they stand for, so that a rule means the same in both eras.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from sidecar import limits
from sidecar.decode import lossless
from sidecar.events import ACTIONS, Message, Path, Scan, Span, Verdict
from sidecar.methods import ELICIT, LIST_ROOTS, SAMPLE
from sidecar.policy.spans import merged

_DECLINE: Final = {"action": "decline"}
"""How a person declines (MCP elicitation); servers understand it without an error."""


@dataclass(frozen=True, slots=True)
class EmbeddedMessage:
    """One embedded message: where it stands (``root``), and what its own paths begin with in its stead (``base``)."""

    message: Message
    root: Path
    base: Path

    def own(self, scan: Scan) -> Scan:
        """What was seen in it, with paths as if it were a message of its own."""
        length = len(self.root)
        spans = [span for span in scan.spans if span.leaf.path[:length] == self.root]
        return scan._replace(spans=tuple(_moved(span, (*self.base, *span.leaf.path[length:])) for span in spans))

    def placed(self, spans: Iterable[Span]) -> list[Span]:
        """Spans of its own paths, back in the message that embeds it."""
        return [_moved(span, (*self.root, *span.leaf.path[len(self.base) :])) for span in spans]

    @property
    def can_be_declined(self) -> bool:
        """Whether it is an answer that can be replaced by a person's no."""
        return self.message.direction == "request" and self.message.method == ELICIT


def parts(message: Message) -> list[EmbeddedMessage]:
    """The messages embedded in a result or a request; nearly always none."""
    payload = message.payload
    is_result = message.kind == "result" and message.direction == "response"
    outer, name = ("result", "inputRequests") if is_result else ("params", "inputResponses")
    holder = payload.get(outer) if type(payload) is dict else None
    if type(holder) is not dict or name not in holder or not isinstance(entries := holder[name], dict):
        return []
    return [
        _question(message, (outer, name, key), value) if is_result else _answer(message, (outer, name, key), value)
        for key, value in islice(entries.items(), limits.EMBEDDED_MAX)
        if isinstance(value, dict)
    ]


def without(scan: Scan, found: list[EmbeddedMessage]) -> Scan:
    """What was seen in a message outside of what it embeds."""
    roots = {part.root for part in found}
    return scan._replace(spans=tuple(span for span in scan.spans if span.leaf.path[:3] not in roots))


def joined(verdict: Verdict, judged: list[tuple[EmbeddedMessage, Verdict]]) -> tuple[Verdict, tuple[Path, ...]]:
    """One verdict for a message and all that it embeds, and the answers to decline: the strictest decides."""
    declined = []
    for part, own in judged:
        action = own.action
        if action == "block" and part.can_be_declined:
            declined.append(part.root)
            action = "redact"
        if ACTIONS.index(action) > ACTIONS.index(verdict.action):
            verdict = replace(verdict, action=action, rule=own.rule, message=own.message)
        spans = part.placed(own.redactions) if part.root not in declined else []
        tokens = part.placed(span for span, _ in own.tokens) if part.root not in declined else []
        verdict = replace(
            verdict,
            findings=(*verdict.findings, *own.findings),
            redactions=merged((*verdict.redactions, *spans)),
            tokens=(*verdict.tokens, *zip(tokens, (rules for _, rules in own.tokens), strict=False)),
        )
    return verdict, tuple(declined)


def with_declines(raw: bytes, declined: Iterable[Path]) -> bytes:
    """A request with some of its embedded answers replaced by a no. Numbers keep their digits."""
    value = lossless.loads(raw)
    for outer, name, key in declined:
        value[outer][name][key] = _DECLINE
    return lossless.dumps(value)


def _question(message: Message, root: Path, value: Mapping[str, Any]) -> EmbeddedMessage:
    method, params = value.get("method"), value.get("params")
    asked = replace(
        message,
        kind="request",
        method=method if isinstance(method, str) else "",
        tool="",
        args=params if isinstance(params, dict) else {},
        payload=value,
    )
    return EmbeddedMessage(asked, root, ())


def _answer(message: Message, root: Path, value: Mapping[str, Any]) -> EmbeddedMessage:
    """An answer does not say what it answers, but no two of the three questions have answers of the same form."""
    method = SAMPLE
    if "action" in value:
        method = ELICIT
    elif "roots" in value:
        method = LIST_ROOTS
    return EmbeddedMessage(
        replace(message, kind="result", method=method, tool="", args={}, payload={"result": value}), root, ("result",)
    )


def _moved(span: Span, path: Path) -> Span:
    return replace(span, leaf=replace(span.leaf, path=path))

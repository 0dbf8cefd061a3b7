"""One message through the detectors and the policies in force, and its payload made fit to be kept."""

import hmac
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from sidecar.act.fitting import stand_ins
from sidecar.act.redact import mask_bytes, mask_value, redact_bytes, redact_value
from sidecar.detect import Engine, values, walk
from sidecar.events import Finding, Message, Mode, Path, Scan, Span, Verdict
from sidecar.judging import embedded
from sidecar.judging.carry_over import CarryOver
from sidecar.policy.access import ask
from sidecar.policy.facts import Facts
from sidecar.policy.fields import DEFAULT_ENTRY
from sidecar.policy.judge import is_listed, judge
from sidecar.policy.judgement import AsReceived, Judgement
from sidecar.policy.load import PolicySet
from sidecar.policy.memory import State
from sidecar.policy.replacements import Replacements
from sidecar.policy.restore import restore_tokens, with_payload
from sidecar.policy.vault import Vault

_OPAQUE: Final = frozenset(("requestState", "cursor", "nextCursor", "progressToken", "taskId"))


class InForce(Protocol):
    """Whatever holds the policies that judge right now."""

    current: PolicySet


class MessageJudge:
    """Judges messages; ``key`` keys the fingerprints, ``cap`` is the most any rule may do."""

    def __init__(self, policies: InForce, engine: Engine, key: bytes, cap: Mode) -> None:
        self._policies = policies
        self._engine = engine
        self._key = key
        self._cap = cap
        self._state = State()
        self._vault = Vault(key)

    def judge(self, message: Message, raw: bytes, now: float, carry_over: CarryOver | None = None) -> Judgement:
        """The message with its scan and verdict, under the policy version in force at this moment.

        ``carry_over`` are of the notifications before this one, which it then joins.
        """
        began = time.perf_counter()
        # Rules and custom kinds of one version: another may come into force meanwhile.
        policies = self._policies.current
        look = partial(self._engine.scan, custom=policies.custom)
        scan, standing = self._vault.scan_message(look, message)
        said = restored = None
        if standing and message.direction == "request":
            restored = restore_tokens(self._vault, policies, message, standing, now)
            if restored.is_any:
                said = AsReceived(raw, message.payload, scan)
                raw = redact_bytes(raw, restored.spans, restored.value, restored.numbers)
                message = with_payload(message, redact_value(message.payload, restored.spans, restored.value, restored.numbers))
                scan, _ = self._vault.scan_message(look, message)
        if carry_over is not None:
            scan = carry_over.complete(message.payload, scan, look)
        verdict, declined = self._decided(policies, message, _without_opaque(scan) if scan.spans else scan, now)
        if carry_over is not None and verdict.action != "block":
            carry_over.remember(message.payload, scan)
        replacements = self._vault.replacements(message, verdict, now) if verdict.tokens else Replacements()
        rules = policies.rule_ids(message.direction, message.method) if self._cap != "off" else ()
        return Judgement(
            message, raw, scan, verdict, time.perf_counter() - began, declined, replacements, said, restored, rules
        )

    def _decided(self, policies: PolicySet, message: Message, scan: Scan, now: float) -> tuple[Verdict, tuple[Path, ...]]:
        """The verdict on a message and all that it embeds, and the answers in it to decline."""
        if not (found := embedded.parts(message)):
            return self.verdict(message, scan, now, policies), ()
        verdict = self.verdict(message, embedded.without(scan, found), now, policies)
        within = [(part, self.verdict(part.message, part.own(scan), now, policies)) for part in found]
        return embedded.joined(verdict, within)

    def verdict(self, message: Message, scan: Scan, now: float, policies: PolicySet | None = None) -> Verdict:
        """The verdict alone on a message in which the detectors saw ``scan``; under other policies where some are given."""
        return judge(policies or self.policies, message, scan, self._state, now, self.fingerprint, self._cap)

    @property
    def policies(self) -> PolicySet:
        """Those in force at this moment."""
        return self._policies.current

    def scan_only(self, message: Message, raw: bytes) -> Judgement:
        """A message no rule speaks of (an answer to nothing), scanned so that its record is masked all the same."""
        policies = self._policies.current
        verdict = Verdict(policy_version=policies.version)
        return Judgement(message, raw, self._engine.scan(walk(message.payload), policies.custom), verdict)

    def is_listed(self, message: Message, now: float) -> bool:
        """Whether the caller could call this, and so may see it listed. ``message`` is that call without arguments."""
        return is_listed(self._policies.current, message, now)

    def lists(self, policies: PolicySet, message: Message, now: float) -> bool:
        """The same under other policies than those in force."""
        return is_listed(policies, message, now, self._cap)

    def denying_rule(self, message: Message, now: float) -> str:
        """The entry of ``access`` that denies this by name, as one of a whole server does; empty when there is none."""
        if self._cap != "enforce":
            return ""
        remarks = ask(self._policies.current.enforced, Facts(message, now))
        return next((each.rule for each in remarks if each.is_denial and each.rule != DEFAULT_ENTRY), "")

    def finds_in(self, texts: list[str]) -> bool:
        """Whether a detector recognises a value in texts that belong to no message. Signals are no values."""
        return bool(texts) and bool(values(self._engine.scan(walk(texts), self._policies.current.custom).spans))

    @property
    def is_hiding(self) -> bool:
        """Whether any list has to be filtered at all."""
        return self._cap == "enforce" and self._policies.current.hides

    def fingerprint(self, value: str) -> str:
        """A keyed hash by which the same value is known again, and from which it cannot be had back."""
        return hmac.digest(self._key, b"value\0" + value.encode("utf-8", "surrogatepass"), "sha256").hex()[:16]

    def mask(self, raw: bytes, payload: Any, spans: Iterable[Span], replacements: Replacements) -> tuple[bytes, Any]:
        """A payload as it is kept: each detected value replaced by its token, or its kind and the head of its fingerprint.

        What only signals something is no secret, and stays as evidence.
        """
        spans = values(spans)

        def mark(span: Span) -> str:
            return replacements.token(span) or self._recorded_mark(span)

        said = mask_value(payload, spans, mark)
        if isinstance(payload, str):
            return str(said).encode("utf-8", "replace"), said
        try:
            return mask_bytes(raw, spans, mark), said
        except ValueError:
            # The text is not strict JSON (a server sent NaN, say), so it is kept as it was understood.
            return json.dumps(said, ensure_ascii=False).encode("utf-8", "replace"), said

    def mask_text(self, text: str, judgement: Judgement) -> str:
        """A text of ours about a message as it is kept: without the values found there, which a tool's name may hold."""
        for span in values(judgement.scan.spans):
            text = text.replace(span.stretch, self._recorded_mark(span))
        return text

    def masked(self, payload: Any, spans: Iterable[Span]) -> Any:
        """The same for a value without bytes of its own."""
        return mask_value(payload, values(spans), self._recorded_mark)

    def _recorded_mark(self, span: Span) -> str:
        return f"[{span.kind} #{self.fingerprint(span.value)[:4]}]"


def _without_opaque(scan: Scan) -> Scan:
    """The scan without what stands in tokens that one peer makes and the other only hands back (MCP 2026-07-28, MRTR).

    A changed one fails the call, and no person or model reads it. In the record it is masked all the same.
    """
    spans = tuple(span for span in scan.spans if not (len(span.leaf.path) == 2 and span.leaf.path[1] in _OPAQUE))
    return scan if len(spans) == len(scan.spans) else scan._replace(spans=spans)


def redacted(judged: Judgement, schema: Any = True) -> bytes:
    """The message's own bytes with what enforced rules redact replaced; everything else stays byte for byte.

    ``schema`` is what a tool has promised of its structured content, which the redacted one satisfies too.

    Raises:
        ValueError: a value stands where it cannot be replaced (in a number, in text that is not strict JSON, or where the
            schema allows nothing else).
    """
    spans, replacements = judged.verdict.redactions, judged.replacements
    if isinstance(judged.message.payload, str):
        return str(redact_value(judged.message.payload, spans, replacements)).encode("utf-8", "surrogatepass")
    values = replacements.numbers
    if schema is not True:
        values |= stand_ins(judged.message.payload, schema, spans, replacements, replacements.others)
    sent = redact_bytes(judged.raw, spans, replacements, values)
    return embedded.with_declines(sent, judged.declined) if judged.declined else sent


def with_finding(judged: Judgement, finding: Finding) -> Judgement:
    """The same message, blocked by one finding."""
    verdict = Verdict("block", finding.rule, finding.title, (finding,), (), judged.verdict.policy_version)
    return replace(judged, verdict=verdict)

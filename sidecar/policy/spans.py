"""Spans to findings and redactions: what a finding says of them, and what can be replaced."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sidecar.detect import preview
from sidecar.events import Action, Finding, Scan, Span, path_text
from sidecar.limits import FINDINGS_PER_RULE_MAX
from sidecar.policy.policy_set import Rule

Tokens = tuple[tuple[Span, tuple[str, ...]], ...]

CANNOT_REDACT: Final = "cannot-redact: a value stands where no text can take its place"


def split_redactable(spans: Iterable[Span]) -> tuple[list[Span], list[Span]]:
    """The spans that something can take the place of, and the others: in numbers, and in keys, which name things.

    Of numbers only those in a structured result have a stand-in of their type; elsewhere one would be taken for an argument.
    """
    can: list[Span] = []
    cannot: list[Span] = []
    for span in spans:
        has_stand_in = span.leaf.is_text or span.leaf.path[:2] == ("result", "structuredContent")
        (can if has_stand_in and not span.leaf.is_key else cannot).append(span)
    return can, cannot


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans without overlap, in order. Overlapping ones become one, of the longest one's kind: no end is left."""
    kept: list[tuple[Span, int]] = []
    for span in sorted(set(spans), key=lambda each: (_place(each), each.start, -each.end, each.kind, each.via)):
        length = span.end - span.start
        last, longest = kept[-1] if kept else (None, 0)
        if last is None or last.leaf.path != span.leaf.path or span.start >= last.end:
            kept.append((span, length))
            continue
        end = max(last.end, span.end)
        base = span if length > longest else last
        kept[-1] = (replace(base, start=last.start, end=end), max(length, longest))
    return tuple(span for span, _ in kept)


def resolve_overlaps(redacted: Iterable[Span], tokenized: Mapping[str, Sequence[Span]]) -> tuple[tuple[Span, ...], Tokens]:
    """All that is replaced, without overlap, and which of it becomes a token: where the two meet, redacting wins.

    ``tokenized`` is what each rule found; a token comes with the rules that rules_of for it.
    """
    redacted = list(redacted)
    stretches = merged([*redacted, *(span for spans in tokenized.values() for span in spans)])
    starts = [(_place(each), each.start) for each in stretches]

    def around(span: Span) -> int:
        return bisect_right(starts, (_place(span), span.start)) - 1

    taken = {around(span) for span in redacted}
    rules_of: dict[int, set[str]] = {}
    for rule, spans in tokenized.items():
        for index in map(around, spans):
            if index not in taken:
                rules_of.setdefault(index, set()).add(rule)
    return stretches, tuple((stretches[index], tuple(sorted(rules))) for index, rules in sorted(rules_of.items()))


def _place(span: Span) -> tuple[tuple[bool, str | int], ...]:
    """A path as something that can be ordered, though it holds both texts and numbers."""
    return tuple((isinstance(step, str), step) for step in span.leaf.path)


class FindingBuilder:
    """What findings say of the values in one message: no value, but its kind, place, masked form and fingerprint."""

    __slots__ = ("_fingerprint", "_hidden", "_known", "_scan")

    def __init__(self, scan: Scan, fingerprint: Callable[[str], str]) -> None:
        self._scan = scan
        self._fingerprint = fingerprint
        self._known: dict[str, str] = {}
        self._hidden: dict[str, str] | None = None

    def findings(self, rule: Rule, action: Action, spans: Sequence[Span]) -> Iterator[Finding]:
        """One finding for each kind and value; past the bound the rest is counted in the last one."""
        groups: dict[tuple[str, str], list[Span]] = {}
        for span in spans:
            groups.setdefault((span.kind, span.value), []).append(span)
        left_over = sum(len(group) for group in list(groups.values())[FINDINGS_PER_RULE_MAX:])
        title = rule.title if action == rule.action else f"{rule.title} (cannot-redact)"
        for index, group in enumerate(list(groups.values())[:FINDINGS_PER_RULE_MAX], 1):
            span = group[0]
            yield Finding(
                rule=rule.id,
                policy=rule.policy,
                severity=rule.severity,
                mode=rule.mode,
                action=action,
                kind=span.kind,
                path=path_text(span.leaf.path, self._hidden_keys()),
                fingerprint=self._of(span.value),
                preview=preview(span),
                confidence=max(each.confidence for each in group),
                count=len(group) + (left_over if index == FINDINGS_PER_RULE_MAX else 0),
                title=title,
            )

    def _of(self, value: str) -> str:
        if value not in self._known:
            self._known[value] = self._fingerprint(value)
        return self._known[value]

    def _hidden_keys(self) -> dict[str, str]:
        """Object keys in which something was found: they are values too, and stand in the path of all that is below."""
        if self._hidden is None:
            self._hidden = {span.leaf.text: span.kind for span in self._scan.spans if span.leaf.is_key}
        return self._hidden

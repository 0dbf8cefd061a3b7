"""A message with everything that was found out about it: what was seen, what was decided, and what stands for what."""

from dataclasses import dataclass, field
from typing import Any

from sidecar.events import Message, Path, Scan, Verdict
from sidecar.policy.replacements import Replacements
from sidecar.policy.vault import Restored


@dataclass(frozen=True, slots=True)
class AsReceived:
    """A message as its client sent it, with tokens where values travel on: what the record keeps of it."""

    raw: bytes
    payload: Any
    scan: Scan


@dataclass(frozen=True, slots=True)
class Judgement:
    """A message with everything that was found out about it; ``raw`` is its own bytes."""

    message: Message
    raw: bytes
    scan: Scan
    verdict: Verdict
    spent_s: float = 0.0
    """How long it took to look at it and decide."""
    declined: tuple[Path, ...] = ()
    """Answers embedded in it that the server may not have, and reads as declined."""
    replacements: Replacements = field(default_factory=Replacements)
    """What is written in place of what is redacted."""
    said: AsReceived | None = None
    """How it came, where tokens in it have turned back; everything else here is about what travels on."""
    restored: Restored | None = None
    """What became of the tokens that stand in it."""
    rules: tuple[str, ...] = ()
    """The rules that were asked about it."""
    withheld: frozenset[int] = frozenset()
    """Of a list: the entries that may not be in it, by their places."""

    @property
    def is_changed(self) -> bool:
        """Whether it does not pass as it came."""
        return bool(self.verdict.redactions or self.declined or self.said)

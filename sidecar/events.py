"""The nouns every other module speaks of. Frozen, without behaviour beyond their own order, importing nothing of ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "low", "medium", "high", "critical")

Action = Literal["allow", "log", "alert", "tokenize", "redact", "block"]
ACTIONS: Final[tuple[Action, ...]] = ("allow", "log", "alert", "tokenize", "redact", "block")
"""From mildest to strictest; the strictest enforced action is the verdict. A rule's ``tokenize`` is as strict as ``redact``."""

Mode = Literal["off", "monitor", "enforce"]
Direction = Literal["request", "response"]
"""``request`` is everything travelling to the server, ``response`` everything travelling to the client."""

Kind = Literal["request", "notification", "result", "error"]

Path = tuple[str | int, ...]
"""Where a value stands in a message: the keys and indexes from the root. ``()`` is the whole text."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands behind a message. ``user`` and ``groups`` are verified or empty; ``client`` is what it calls itself."""

    user: str = ""
    groups: tuple[str, ...] = ()
    client: str = ""
    client_version: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """How the definition of one listed tool or prompt stands.

    ``signs`` holds which of ``changed``, ``new``, ``hidden-text`` and ``shadows`` it is, each with what to tell of it, fit to
    be recorded; ``unknown`` those (or ``expr``) that could not be found out. ``previous_digest`` is that of the accepted
    definition: the same as ``digest`` when nothing changed, empty when there is none. ``read_only`` and ``destructive`` are
    claims of the server (``readOnlyHint``, ``destructiveHint``), false where it is silent.
    """

    digest: str = ""
    previous_digest: str = ""
    description: str = ""
    read_only: bool = False
    destructive: bool = False
    signs: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Message:
    """One JSON-RPC message on its way, as policies see it.

    For an answer, ``method``, ``tool`` and ``args`` are those of the request it answers. ``payload`` is the parsed JSON of
    this message itself; ``size`` its length on the wire in bytes. ``tool`` is the tool's or prompt's name, else the
    resource's URI, else empty.
    """

    server: str
    direction: Direction
    kind: Kind
    method: str
    tool: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    payload: Any = None
    size: int = 0
    caller: Caller = Caller()
    session: str = ""
    definition: Definition | None = None
    """Set when this is not a message by itself but one entry of a list that came in one: ``tool`` is its name."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One string (or number, or object key) of a message, with its place. ``is_text`` is false for a number."""

    path: Path
    text: str
    is_key: bool = False
    is_text: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a leaf in which a detector recognised a value: ``leaf.text[start:end]``, in characters.

    ``is_strict_only`` marks what the strict profile alone reports: it looks as if it was written for documentation.
    Where the value stands encoded, the stretch is all of the encoded run, ``via`` says how it was read (``base64>gzip``) and
    ``plain`` what it was read as.
    """

    kind: str
    leaf: Leaf
    start: int
    end: int
    confidence: float
    is_strict_only: bool = False
    via: str = ""
    plain: str = ""

    @property
    def value(self) -> str:
        """The value itself. It may never reach a log, a record, an alert or an error."""
        return self.plain or self.stretch

    @property
    def stretch(self) -> str:
        """What stands in the message: the value, or what it was read from. As secret as the value."""
        return self.leaf.text[self.start : self.end]


class Scan(NamedTuple):
    """What all detectors saw in one message, and what they did not look at, so that silence can be told from blindness.

    Every message has one; it is made in a fifth of the time of a frozen dataclass.
    """

    spans: tuple[Span, ...] = ()
    bytes_scanned: int = 0
    bytes_skipped: int = 0
    skipped: tuple[str, ...] = ()
    bytes_unwrapped: int = 0
    """What encoded stretches were undone to, and looked at beside ``bytes_scanned``."""
    detectors: int = 0
    """How many detectors looked; which ones, the version of the engine says."""
    version: str = ""
    unseen: tuple[str, ...] = ()
    """What is no text (``binary``), for the record; no rule waits for it, as it does for what ``skipped`` names."""
    kinds_cut: frozenset[str] = frozenset()
    """The kinds that were not looked for everywhere; all of them, where it is empty and ``skipped`` is not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule saw in one message. It carries no value: only where, of which kind, and a keyed fingerprint.

    ``kind`` is the detector's kind (``secrets.aws-key``), or ``access``, ``rate``, ``expr``, ``match``,
    ``definition.changed`` (or another of its signs), ``error``.
    ``preview`` is the masked value (``AKIA…(20)``), ``count`` how often this value stands in the message.
    """

    rule: str
    policy: str
    severity: Severity
    mode: Mode
    action: Action
    kind: str
    path: str = ""
    fingerprint: str = ""
    preview: str = ""
    confidence: float = 1.0
    count: int = 1
    title: str = ""
    tool: str = ""
    """The tool it is about, as recorded, where that is not the call's: one of a list."""

    @property
    def is_enforced(self) -> bool:
        """Whether the finding had its consequence, rather than only being noted."""
        return self.mode == "enforce"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one outcome for a message: the strictest enforced action, every finding, and what to replace.

    ``rule`` and ``message`` are those of the rule that decided; ``message`` is what the model is told.
    ``redactions`` are the spans that enforced redact and tokenize rules found, and ``tokens`` those of them that become
    tokens, each with the rules that asked for it.
    """

    action: Action = "allow"
    rule: str = ""
    message: str = ""
    findings: tuple[Finding, ...] = ()
    redactions: tuple[Span, ...] = ()
    policy_version: str = ""
    tokens: tuple[tuple[Span, tuple[str, ...]], ...] = ()


ALLOW: Final = Verdict()


def path_text(path: Path, hidden: Mapping[str, str] | None = None) -> str:
    """A path as people write it: ``$.params.arguments.rows[3]``; keys that are not plain words are quoted.

    ``hidden`` maps object keys that are themselves sensitive to what to write in their place.
    """
    parts = ["$"]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif hidden and step in hidden:
            parts.append(f"[{hidden[step]}]")
        elif step.replace("_", "a").replace("-", "a").isalnum():
            parts.append(f".{step[:60]}")
        else:
            parts.append(f"[{step[:60]!r}]")
    return "".join(parts)

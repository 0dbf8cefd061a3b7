"""Paths such as ``$.body`` or ``$.rows[*].email``: parsed once, compared with the place of a leaf."""

import re
from dataclasses import dataclass
from typing import Final

from sidecar.events import Message, Path
from sidecar.methods import method_of

_STEP: Final = re.compile(
    r"""\.(?P<name>[A-Za-z0-9_-]+|\*)
    | \[(?P<index>[0-9]{1,9}|\*)\]
    | \["(?P<double>[^"\]]+)"\]
    | \['(?P<single>[^'\]]+)'\]""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Where:
    """The steps of a path below its base; ``None`` stands for any one step. No steps: everything."""

    steps: tuple[str | int | None, ...] = ()

    def covers(self, path: Path, base: Path) -> bool:
        """Whether ``path`` is at or below this place, counted from ``base``."""
        start, end = len(base), len(base) + len(self.steps)
        if len(path) < end or path[:start] != base:
            return False
        return all(step is None or step == given for step, given in zip(self.steps, path[start:end], strict=True))


def parse_where(text: str) -> Where:
    """The path that ``text`` writes.

    Raises:
        ValueError: it is not such a path; the message says what one looks like.
    """
    steps: list[str | int | None] = []
    at = 1
    while at < len(text) and text.startswith("$"):
        step = _STEP.match(text, at)
        if step is None:
            break
        name, index = step["name"] or step["double"] or step["single"], step["index"]
        is_any = "*" in (step["name"], index)
        steps.append(None if is_any else int(index) if index else name)
        at = step.end()
    if not text.startswith("$") or at != len(text):
        raise ValueError(f"{text[:60]!r} is not a path; write for example $.body, $.rows[0] or $.rows[*].email")
    return Where(tuple(steps))


def base_of(message: Message) -> Path:
    """What ``$`` stands for in a message: the arguments, else the parameters; of an answer its result or error."""
    if message.kind == "result":
        return ("result",)
    if message.kind == "error":
        return ("error",)
    arguments = method_of(message.method).arguments
    return ("params", arguments) if arguments else ("params",)
